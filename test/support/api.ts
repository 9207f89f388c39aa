import { request } from 'node:http'
import type { Address } from './raw-socket.ts'

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
