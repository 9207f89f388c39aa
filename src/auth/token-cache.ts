import { BoundedMap } from '../bounded-map.ts'
import type { Identity } from './permissions.ts'

/** Tokens remembered; at about 1 KiB each. */
const TOKENS = 10_000

/**
 * The identities of tokens that have verified lately. After an outage everybody comes back with the token they had,
 * and verifying one costs more than the rest of a connect's checks together.
 */
export class TokenCache {
  readonly #identities = new BoundedMap<string, Identity>(TOKENS)

  /** The identity of a token that has verified before and has not expired. */
  get(token: string, nowMs: number): Identity | undefined {
    const identity = this.#identities.get(token)
    if (identity === undefined || identity.expiresAt > nowMs) return identity
    this.#identities.delete(token)
    return undefined
  }

  set(token: string, identity: Identity): void {
    this.#identities.set(token, identity)
  }
}
