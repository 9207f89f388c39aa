import { STATUS_CODES } from 'node:http'
import { Denied } from '../../src/hub/posts.ts'
import type { ProblemCode } from '../../src/protocol/api.ts'

/** The HTTP status of each code. */
const problemStatuses: Record<ProblemCode, number> = {
  bad_envelope: 400,
  bad_request: 400,
  bad_room: 400,
  unknown_type: 400,
  unknown_method: 400,
  unauthorized: 401,
  forbidden: 403,
  not_member: 403,
  origin_refused: 403,
  refused: 403,
  room_limit: 403,
  not_found: 404,
  method_not_allowed: 405,
  too_large: 413,
  unsupported_media_type: 415,
  bad_content: 422,
  rate_limited: 429,
  internal: 500,
  unavailable: 503,
}

/** Ahead of these the body was not read, or not all of it: the rest is not waited for. */
const closing = new Set<ProblemCode>([
  'unauthorized',
  'origin_refused',
  'too_large',
  'unsupported_media_type',
])

/** A request to the API that is not carried out. `detail` goes to the peer: never a secret or the peer's own words. */
export class Problem extends Error {
  override name = 'Problem'
  readonly code: ProblemCode
  readonly #headers: Record<string, string>

  constructor(code: ProblemCode, detail: string, headers: Record<string, string> = {}) {
    super(detail)
    this.code = code
    this.#headers = headers
  }

  get statusCode(): number {
    return problemStatuses[this.code]
  }

  /** RFC 9457, with the protocol's `code`. */
  get body(): object {
    const { statusCode: status, code, message: detail } = this
    return { type: 'about:blank', title: STATUS_CODES[status] ?? '', status, code, detail }
  }

  get headers(): Record<string, string> {
    return {
      'content-type': 'application/problem+json',
      ...(this.code === 'unauthorized' && { 'www-authenticate': 'Bearer' }),
      ...(closing.has(this.code) && { connection: 'close' }),
      ...this.#headers,
    }
  }
}

/** What came of it, or the Problem of why nothing did. */
export function orProblem<Done>(done: Done | Denied): Done {
  if (!(done instanceof Denied)) return done
  const { code, message, retryAfterMs } = done
  const seconds = Math.ceil((retryAfterMs ?? 0) / 1000)
  throw new Problem(code, message, retryAfterMs === undefined ? {} : { 'retry-after': String(seconds) })
}
