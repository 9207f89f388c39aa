import type { Identity } from './permissions.ts'

/** Why a token gives no identity. */
export class TokenFault {
  /** For the log; the peer is never told. */
  readonly reason: string
  /** Nothing is known against the token: its key cannot be had at present. */
  readonly isTemporary: boolean

  constructor(reason: string, isTemporary = false) {
    this.reason = reason
    this.isTemporary = isTemporary
  }
}

export type Verified = Identity | TokenFault

/** Says who a token is for. */
export interface Tokens {
  /** Never throws or rejects; a promise only where the token's key must be fetched first. */
  verify(token: string): Verified | Promise<Verified>
}

/** Takes none. */
export const noTokens: Tokens = { verify: () => new TokenFault('tokens are not verified here') }
