import { request } from 'node:http'
import type { Test } from 'tap'
import { EventStream } from './event-stream.ts'
import type { Address } from './raw-socket.ts'
import { tokenFor } from './token.ts'

/** The key of an API_KEYS that may do everything. */
export const API_SECRET = 'a-secret-of-the-back-end'

export interface ApiAnswer {
  status: number
  headers: Record<string, string | string[] | undefined>
  text: string
  // biome-ignore lint/suspicious/noExplicitAny: what it is, the test says.
  body: any
}

export interface ApiCall {
  method?: string
  path: string
  /** An object is sent as JSON, a text or bytes as they are. */
  body?: unknown
  secret?: string | undefined
  headers?: Record<string, string>
}

/** Calls the API of a node, on a connection of its own. */
export function callApi(
  { host, port }: Address,
  { method, path, body, secret = API_SECRET, headers = {} }: ApiCall,
): Promise<ApiAnswer> {
  return new Promise((resolve, reject) => {
    const isRaw = typeof body === 'string' || Buffer.isBuffer(body)
    const bytes = body === undefined ? undefined : isRaw ? body : JSON.stringify(body)
    const sent = request(
      {
        ...{ host, port, path: `/api/v1${path}`, agent: false },
        method: method ?? (body === undefined ? 'GET' : 'POST'),
        headers: {
          ...(secret !== '' && { authorization: `Bearer ${secret}` }),
          ...(bytes !== undefined && {
            'content-type': 'application/json',
            'content-length': String(Buffer.byteLength(bytes)),
          }),
          ...headers,
        },
      },
      (response) => {
        let text = ''
        response.setEncoding('utf8').on('data', (part: string) => {
          text += part
        })
        response.on('end', () => {
          const isJson = /json/.test(response.headers['content-type'] ?? '')
          const body = isJson && text !== '' ? JSON.parse(text) : undefined
          resolve({ status: response.statusCode ?? 0, headers: response.headers, text, body })
        })
      },
    )
    sent.on('error', reject)
    sent.end(bytes)
  })
}

/** Through a proxy: what a back end publishes is in a stream at once, and so are its comments. */
export async function streamsAndApi(t: Test, proxy: Address): Promise<void> {
  const { host, port } = proxy
  const stream = new EventStream(`http://${host}:${port}/sse?room=s&token=${tokenFor('reader')}`)
  t.teardown(() => stream.close())
  await stream.next('joined')
  const startMs = performance.now()
  const { status, body } = await callApi(proxy, { path: '/rooms/s/messages', body: { content: 'hello' } })
  t.match({ status, body }, { status: 200, body: { scope: 'cluster' } })
  t.match((await stream.next('message')).data, { content: 'hello' })
  const tookMs = performance.now() - startMs
  t.ok(tookMs < 2000, `a message of 200 bytes is not kept back: ${Math.round(tookMs)} ms`)
  await stream.until('comments come', () => stream.comments.length >= 2)
  stream.close()
}
