import { request as httpRequest, type IncomingMessage, type RequestOptions } from 'node:http'
import { request as httpsRequest } from 'node:https'
import type { Socket } from 'node:net'
import { Failure } from './check.ts'
import { shown } from './expect.ts'

export interface RequestInit {
  method?: string
  headers?: Record<string, string>
  /** Sent as it stands. */
  body?: string
  timeoutMs: number
}

/** What an HTTP request was answered with. */
export interface Answer {
  status: number
  headers: IncomingMessage['headers']
  body: string
}

/** One request over a connection of its own. A 101 is an answer without a body, and its socket is destroyed. */
export function request(url: string, init: RequestInit): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = begin(url, init, reject)
    sent.on('upgrade', ({ statusCode, headers }, socket) => {
      socket.destroy()
      resolve({ status: statusCode ?? 0, headers, body: '' })
    })
    sent.on('response', (response) => {
      let body = ''
      response.setEncoding('utf8').on('data', (text: string) => {
        body += text
      })
      const { statusCode: status = 0, headers } = response
      response.on('end', () => resolve({ status, headers, body })).on('error', reject)
    })
    sent.end(init.body)
  })
}

/** An upgrade whose socket is the caller's own from the 101 on. */
export function upgrade(url: string, init: RequestInit): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const sent = begin(url, init, reject)
    // Whoever reads it sees that it has ended.
    sent.on('upgrade', (_response, socket) => resolve((socket as Socket).on('error', () => {})))
    sent.on('response', (response) => {
      response.resume()
      reject(new Failure(`the upgrade was answered with ${response.statusCode}`))
    })
    sent.end()
  })
}

/** A response whose body is read as it comes. */
export function open(url: string, init: RequestInit): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const sent = begin(url, init, reject)
    sent.on('response', (response) => {
      sent.setTimeout(0)
      resolve(response)
    })
    sent.end()
  })
}

function begin(
  url: string,
  { method = 'GET', headers = {}, timeoutMs }: RequestInit,
  reject: (error: Error) => void,
) {
  const options: RequestOptions = { method, headers, agent: false, timeout: timeoutMs }
  const sent = (url.startsWith('https') ? httpsRequest : httpRequest)(url, options)
  sent.on('timeout', () => sent.destroy(new Failure(`${method} had no answer within ${timeoutMs} ms`)))
  sent.on('error', reject)
  return sent
}

/** The body as a JSON object. */
export function jsonOf({ status, body }: Answer): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(body)
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>
  } catch {
    // Said below.
  }
  throw new Failure(`the answer with ${status} is no JSON object: ${shown(body)}`)
}
