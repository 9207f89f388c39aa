import { randomBytes } from 'node:crypto'
import { Pool } from 'undici'
import type { Clock } from '../clock.ts'
import { version } from '../version.ts'
import { type HookBounds, Unanswered } from './hook-bounds.ts'
import { keyOf, signatureHeaders } from './signature.ts'

export interface BackEndOptions {
  url: string
  /** Secrets of Standard Webhooks. */
  secrets: readonly string[]
  /** Connections at most; each has one request at a time. */
  connections: number
  /** Bytes of an answer. */
  maxBytes: number
  /** Of all answers together, where many are under way. */
  bounds?: HookBounds
  clock: Clock
}

/** Where hooks are asked by HTTP: signed POSTs of JSON on connections that are kept. */
export class BackEnd {
  readonly #options: BackEndOptions
  readonly #keys: readonly Buffer[]
  readonly #path: string
  readonly #pool: Pool

  constructor(options: BackEndOptions) {
    const { origin, pathname, search } = new URL(options.url)
    this.#options = options
    this.#keys = options.secrets.map(keyOf).filter((key) => key !== undefined)
    this.#path = pathname + search
    // The times are those of the hooks, which end their requests by a signal.
    this.#pool = new Pool(origin, { connections: options.connections, headersTimeout: 0, bodyTimeout: 0 })
  }

  /** The text of the answer, '' for none. Rejects with Unanswered for what is no answer; follows no redirect. A repeat has the `id` of the first. */
  async post(
    body: string,
    signal: AbortSignal,
    { id = newId(), contentType = 'application/json' }: { id?: string; contentType?: string } = {},
  ): Promise<string> {
    const seconds = Math.floor(this.#options.clock.wallMs() / 1000)
    const headers = {
      'content-type': contentType,
      'user-agent': `roomcast/${version}`,
      ...signatureHeaders(this.#keys, id, seconds, body),
    }
    try {
      const response = await this.#pool.request({ method: 'POST', path: this.#path, headers, body, signal })
      const text = await this.#textOf(response.body)
      const { statusCode: status, headers: answered } = response
      if (status < 200 || status > 299)
        throw new Unanswered(
          `status ${status}`,
          retryAfterMs(answered['retry-after'], this.#options.clock.wallMs()),
        )
      return text
    } catch (error) {
      if (error instanceof Unanswered || error instanceof TypeError) throw error
      const { code, message } = error as { code?: unknown; message: string }
      // An abort's is a number, which tells nobody anything.
      throw new Unanswered(typeof code === 'string' ? code : message)
    }
  }

  /** Throws RangeError for too much, TypeError for what is not UTF-8. */
  async #textOf(body: AsyncIterable<Buffer>): Promise<string> {
    const { maxBytes, bounds } = this.#options
    const chunks: Buffer[] = []
    let bytes = 0
    try {
      for await (const chunk of body) {
        // To leave the loop ends the connection, and with it what would still come.
        if (bytes + chunk.length > maxBytes) throw new TypeError(`an answer of more than ${maxBytes} bytes`)
        if (bounds?.take(chunk.length) === false) throw new Unanswered('too much is under way')
        bytes += chunk.length
        chunks.push(chunk)
      }
    } finally {
      bounds?.give(bytes)
    }
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks))
  }

  async close(): Promise<void> {
    await this.#pool.destroy()
  }
}

/** RFC 9110 section 10.2.3: seconds, or a date. */
function retryAfterMs(header: string | string[] | undefined, wallMs: number): number | undefined {
  if (typeof header !== 'string') return undefined
  const ms = /^\d{1,9}$/.test(header) ? Number(header) * 1000 : Date.parse(header) - wallMs
  return Number.isNaN(ms) ? undefined : Math.max(0, ms)
}

/** An id of a request, as Standard Webhooks has it. */
export const newId = () => `msg_${randomBytes(16).toString('base64url')}`
