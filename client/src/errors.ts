import type { ErrorCode } from '../../src/protocol/codes.ts'

/**
 * The server's codes (docs/PROTOCOL.md), and the client's own: `closed` (the hub is), `offline` (no connection now),
 * `lost` (the connection went before the answer), `timeout`, `queue_full`, `too_large`, `overflow` (a loop over a room was too
 * slow for what came).
 */
export type Code =
  | ErrorCode
  | 'closed'
  | 'offline'
  | 'lost'
  | 'timeout'
  | 'queue_full'
  | 'too_large'
  | 'overflow'

const worthRetrying = /^(rate_limited|unavailable|internal|offline|lost|timeout|queue_full)$/

/** Why something was not done. */
export class RoomcastError extends Error {
  override name = 'RoomcastError'
  declare readonly code: Code
  /** Whether the same may succeed later. */
  declare readonly retry: boolean
  /** Milliseconds after which it may, where the server says so. */
  declare readonly retryAfterMs: number | undefined
  /** Whether what was asked may have been done all the same. */
  declare readonly maybeDelivered: boolean

  constructor(code: Code, message: string = code, maybeDelivered = false, retryAfterMs?: number) {
    super(message)
    this.code = code
    this.retry = worthRetrying.test(code)
    this.retryAfterMs = retryAfterMs
    this.maybeDelivered = maybeDelivered
  }
}
