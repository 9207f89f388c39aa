import { createVerifier } from 'fast-jwt'
import type { Config } from '../config.ts'
import type { VerificationKey } from './keys.ts'
import { defaultPermissions, type Identity } from './permissions.ts'
import { type ClaimRules, identityFrom } from './token.ts'
import { TokenCache } from './token-cache.ts'
import { TokenFault, type Tokens, type Verified } from './tokens.ts'

type Verify = (token: string) => unknown

/** Verifies tokens with the keys of the settings. */
export class TokenVerifier implements Tokens {
  readonly #rules: ClaimRules
  /** One a key, so that keys can be rotated. */
  readonly #verifiers: Verify[]
  readonly #cache = new TokenCache()

  constructor(config: Config, keys: VerificationKey[]) {
    this.#rules = {
      requireExp: config.jwtRequireExp,
      requireSub: config.jwtRequireSub,
      clockToleranceMs: config.jwtClockToleranceMs,
      defaultPermissions: defaultPermissions(config.defaultCan),
    }
    this.#verifiers = keys.map(({ key, algorithms }) =>
      createVerifier({
        key,
        algorithms,
        clockTolerance: config.jwtClockToleranceMs,
        // fast-jwt takes a token without the claim unless the claim is required too.
        ...(config.jwtAudience.length > 0 && { allowedAud: config.jwtAudience }),
        ...(config.jwtIssuer.length > 0 && { allowedIss: config.jwtIssuer }),
        requiredClaims: [
          ...(config.jwtAudience.length > 0 ? ['aud'] : []),
          ...(config.jwtIssuer.length > 0 ? ['iss'] : []),
        ],
      }),
    )
  }

  verify(token: string): Verified {
    const known = this.#cache.get(token, Date.now())
    if (known !== undefined) return known
    if (!isCanonical(token)) return new TokenFault('its signature is not plain base64url')
    const verified = this.#verifyWith(this.#verifiers, token)
    if (!(verified instanceof TokenFault)) this.#cache.set(token, verified)
    return verified
  }

  /** The identity that verified claims make; which rule they break, if they do. */
  identityOf(claims: unknown): Identity | string {
    return identityFrom(claims, this.#rules)
  }

  #verifyWith(verifiers: readonly Verify[], token: string): Verified {
    let reason = 'there is no key for it'
    for (const verify of verifiers) {
      try {
        const identity = identityFrom(verify(token), this.#rules)
        return typeof identity === 'string' ? new TokenFault(identity) : identity
      } catch (error) {
        // Not this key's token, or no token at all: the peer is told the same for every reason.
        reason = (error as { code?: string }).code ?? 'unknown'
      }
    }
    return new TokenFault(reason)
  }
}

/** Base64 has spare bits at its end; RFC 4648 section 3.5 lets readers insist on zeros, so that a token has one form. */
function isCanonical(token: string): boolean {
  const signature = token.slice(token.lastIndexOf('.') + 1)
  return Buffer.from(signature, 'base64url').toString('base64url') === signature
}
