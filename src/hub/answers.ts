import type { ErrorCode } from '../protocol/codes.ts'
import type { ErrorEnvelope, Outbound, RequestId } from '../protocol/envelope.ts'

/** What a handler gives: an answer, or its text, now or later; or none, because it is sent already. */
export type Answer = Sent | Promise<Sent>
export type Sent = Outbound | string | undefined

/** Something must be waited for before a request is carried out; what the client sent behind it waits as well. */
export class Pending {
  /** Resolves with what carries the request out. */
  readonly ready: Promise<() => Answer>

  constructor(ready: Promise<() => Answer>) {
    this.ready = ready
  }
}

export function withId(id: RequestId | undefined): { id?: RequestId } {
  return id === undefined ? {} : { id }
}

/** The answer to a request that is not carried out. */
export function refusal(
  code: ErrorCode,
  text: string,
  { id, room }: { id?: RequestId | undefined; room?: string | undefined },
): ErrorEnvelope {
  return { type: 'error', code, message: text, ...withId(id), ...(room !== undefined && { room }) }
}
