import { BoundedMap, textEntryBytes } from '../bounded-map.ts'
import { type Identity, identityBytes } from './permissions.ts'

/** Tokens remembered, and what they take of memory: a usual one 1 KiB, one with hundreds of room patterns 50. */
const TOKENS = 10_000
const TOKENS_BYTES = 16 * 1024 * 1024

/**
 * The identities of tokens that have verified lately. After an outage everybody comes back with the token they had,
 * and verifying one costs more than the rest of a connect's checks together.
 */
export class TokenCache {
  readonly #identities = new BoundedMap<string, Identity>({
    entries: TOKENS,
    bytes: TOKENS_BYTES,
    bytesOf: (token, identity) => textEntryBytes(token) + identityBytes(identity),
  })

  /** The identity of a token that has verified before and has not expired. */
  get(token: string, nowMs: number): Identity | undefined {
    const identity = this.#identities.get(token)
    if (identity === undefined || identity.expiresAt > nowMs) return identity
    this.#identities.delete(token)
    return undefined
  }

  set(token: string, identity: Identity): void {
    // A copy: the token is a part of the request's target, and would keep all of that.
    this.#identities.set(Buffer.from(token).toString(), identity)
  }
}
