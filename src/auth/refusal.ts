import { type RefusalCode, refusals } from '../protocol/codes.ts'

/** A request refused before it became a client. Fastify answers with the status; the body is `{error, message}`. */
export class Refusal extends Error {
  override name = 'Refusal'
  readonly error: RefusalCode
  readonly statusCode: number
  readonly headers: Record<string, string>

  /** `message` goes to the peer: never put a token or the peer's own words in it. */
  constructor(
    error: RefusalCode,
    message: string,
    options: { status?: number; headers?: Record<string, string> } = {},
  ) {
    super(message)
    this.error = error
    this.statusCode = options.status ?? refusals[error]
    this.headers = options.headers ?? {}
  }
}
