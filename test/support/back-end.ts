// A back end for hooks: an HTTP server that checks what it gets as a real one should.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Webhook } from 'standardwebhooks'
import type { Test } from 'tap'

export const HOOK_SECRET = `whsec_${Buffer.alloc(32, 7).toString('base64')}`

export interface Asked {
  body: Record<string, unknown>
  text: string
  request: IncomingMessage
}

export interface BackEnd {
  url: string
  /** Everything that was asked. */
  asked: Asked[]
  /** Connections there were. */
  connections: number
  /** Listens on another port too. */
  listen(port: number): Promise<void>
}

/** Answers each question by `answer`, once its signature is found to be right; closed with the test. */
export async function startBackEnd(
  t: Test,
  answer: (asked: Asked, response: ServerResponse) => unknown,
): Promise<BackEnd> {
  const webhook = new Webhook(HOOK_SECRET)
  const backEnd: BackEnd = { url: '', asked: [], connections: 0, listen: (port) => listen(port) }
  const listener = (request: IncomingMessage, response: ServerResponse) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const text = Buffer.concat(chunks).toString()
      // Throws unless the signature and its time are right.
      webhook.verify(text, request.headers as Record<string, string>)
      const asked = { body: JSON.parse(text) as Asked['body'], text, request }
      backEnd.asked.push(asked)
      answer(asked, response)
    })
  }
  const listen = async (port: number) => {
    const server = createServer(listener)
    server.on('connection', () => backEnd.connections++)
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
    t.teardown(() => {
      server.closeAllConnections()
      server.close()
    })
    backEnd.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hooks?key=1`
  }
  await listen(0)
  return backEnd
}
