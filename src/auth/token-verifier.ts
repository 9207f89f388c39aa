import { createVerifier } from 'fast-jwt'
import type { Config } from '../config.ts'
import type { Log } from '../log.ts'
import type { KeySet, Verify } from './key-set.ts'
import { KeySets, type Origin, originOf } from './key-sets.ts'
import { type Algorithm, hasKeySets, type VerificationKey } from './keys.ts'
import { defaultPermissions, type Identity } from './permissions.ts'
import { type ClaimRules, identityFrom } from './token.ts'
import { TokenCache } from './token-cache.ts'
import { TokenFault, type Tokens, type Verified } from './tokens.ts'

/** Verifies tokens with the keys of the settings, and with those that their key servers publish. */
export class TokenVerifier implements Tokens {
  readonly #config: Config
  readonly #rules: ClaimRules
  readonly #verifiers: readonly Verify[]
  #keySets: KeySets | undefined
  #cache = new TokenCache()

  /** `verifiers` are those of the settings' keys, one a key. */
  constructor(config: Config, verifiers: readonly Verify[]) {
    this.#config = config
    this.#rules = {
      requireExp: config.jwtRequireExp,
      requireSub: config.jwtRequireSub,
      clockToleranceMs: config.jwtClockToleranceMs,
      defaultPermissions: defaultPermissions(config.defaultCan),
    }
    this.#verifiers = verifiers
  }

  /** Begins to read the key sets of the settings, if there are any; nobody waits for it. */
  readKeySets(log: Log): void {
    const config = this.#config
    if (!hasKeySets(config)) return
    this.#keySets = new KeySets({
      ...{ config, log },
      verifierOf: (key, issuers) => this.#verifierOf(key, issuers),
      onRemoved: () => {
        this.#cache = new TokenCache()
      },
    })
  }

  close(): void {
    this.#keySets?.close()
  }

  verify(token: string): Verified | Promise<Verified> {
    const known = this.#cache.get(token, Date.now())
    if (known !== undefined) return known
    if (!isCanonical(token)) return new TokenFault('its signature is not plain base64url')
    if (this.#keySets === undefined) return this.#verifyWith(this.#verifiers, token)
    const origin = originOf(token)
    if (origin === undefined) return new TokenFault('it is no token')
    const ofIssuer = this.#keySets.ofIssuer(origin)
    if (ofIssuer !== undefined) return this.#verifyBy(ofIssuer, origin, token)
    const verified = this.#verifyWith(this.#verifiers, token)
    const { common } = this.#keySets
    const isDone = !(verified instanceof TokenFault) || common === undefined
    return isDone ? verified : this.#verifyBy(common, origin, token)
  }

  /** The identity that verified claims make; which rule they break, if they do. */
  identityOf(claims: unknown): Identity | string {
    return identityFrom(claims, this.#rules)
  }

  #verifyBy(keySet: KeySet, origin: Origin, token: string): Verified | Promise<Verified> {
    const { kid, alg } = origin
    // No key of a set verifies an HMAC.
    if (typeof alg !== 'string' || !/^(RS|PS|ES|Ed)/.test(alg))
      return new TokenFault('no algorithm of a key set')
    const verified = this.#verifyWith(keySet.verifiersFor(kid, alg), token)
    if (!(verified instanceof TokenFault)) return verified
    const found = keySet.lookUp(kid)
    if (found === 'unread') return new TokenFault('its key cannot be read', true)
    if (!(found instanceof Promise)) return verified
    return found.then((late) =>
      late === 'unread'
        ? new TokenFault('its key cannot be read', true)
        : this.#verifyWith(keySet.verifiersFor(kid, alg), token),
    )
  }

  #verifyWith(verifiers: readonly Verify[], token: string): Verified {
    let reason = 'there is no key for it'
    for (const verify of verifiers) {
      try {
        const identity = identityFrom(verify(token), this.#rules)
        if (typeof identity === 'string') return new TokenFault(identity)
        this.#cache.set(token, identity)
        return identity
      } catch (error) {
        // Not this key's token, or no token at all: the peer is told the same for every reason.
        reason = (error as { code?: string }).code ?? 'unknown'
      }
    }
    return new TokenFault(reason)
  }

  // By @fastify/jwt's own library: the plugin makes verifiers when it is registered, and published keys come and go.
  #verifierOf({ key, algorithms }: VerificationKey, issuers: string[]): Verify {
    return createVerifier({ key, ...verifierOptions(this.#config, algorithms, issuers) })
  }
}

/** What a token must have, whichever key verifies it; `issuers` are those that it may be from, none for any. */
export function verifierOptions(config: Config, algorithms: Algorithm[], issuers: string[]) {
  const { jwtAudience, jwtClockToleranceMs } = config
  return {
    algorithms,
    clockTolerance: jwtClockToleranceMs,
    // fast-jwt takes a token without the claim unless the claim is required too.
    ...(jwtAudience.length > 0 && { allowedAud: jwtAudience }),
    ...(issuers.length > 0 && { allowedIss: issuers }),
    requiredClaims: [...(jwtAudience.length > 0 ? ['aud'] : []), ...(issuers.length > 0 ? ['iss'] : [])],
  }
}

/** Base64 has spare bits at its end; RFC 4648 section 3.5 lets readers insist on zeros, so that a token has one form. */
function isCanonical(token: string): boolean {
  const signature = token.slice(token.lastIndexOf('.') + 1)
  return Buffer.from(signature, 'base64url').toString('base64url') === signature
}
