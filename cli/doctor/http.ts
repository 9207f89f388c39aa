import { type ClientRequest, type IncomingMessage, request as requestPlain } from 'node:http'
import { request as requestTls } from 'node:https'

const ANSWER_MS = 8000

/** An answer of any server, proxy or roomcast. */
export interface Answer {
  status: number
  headers: IncomingMessage['headers']
  text: string
  /** undefined for what is no JSON object. */
  body: Record<string, unknown> | undefined
}

/** Asks on a connection of its own. Rejects with the system's or TLS's error. */
export function ask(url: string, headers: Record<string, string> = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = begin(url, headers)
    request.on('response', (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (part: string) => {
        text += part
        if (text.length > 1_000_000) request.destroy(new Error('more than 1 MB'))
      })
      response.on('end', () => {
        resolve({ status: response.statusCode ?? 0, headers: response.headers, text, body: objectOf(text) })
      })
      response.on('error', reject)
    })
    request.on('error', reject)
    request.end()
  })
}

/** A request that is to be sent with `end`. */
export function begin(url: string, headers: Record<string, string> = {}): ClientRequest {
  const send = url.startsWith('https:') ? requestTls : requestPlain
  const request = send(url, { agent: false, headers })
  request.setTimeout(ANSWER_MS, () =>
    request.destroy(Object.assign(new Error('no answer'), { code: 'ETIMEDOUT' })),
  )
  return request
}

/** The object that a JSON text is. */
export function objectOf(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}
