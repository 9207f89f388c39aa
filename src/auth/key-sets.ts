import { createDecoder } from 'fast-jwt'
import { systemClock } from '../clock.ts'
import type { Config } from '../config.ts'
import type { Log } from '../log.ts'
import type { PublishedKey } from './jwk.ts'
import { KeySet, type Verify } from './key-set.ts'
import type { KeySource } from './key-source.ts'

/** What of a token says which key it was signed with; nothing of it is verified. */
export interface Origin {
  kid: string | undefined
  alg: unknown
  iss: unknown
}

export interface KeySetsOptions {
  config: Config
  log: Log
  /** `issuers` are those that a token verified by the key may be from; none: any. */
  verifierOf(key: PublishedKey, issuers: string[]): Verify
  /** A key is gone: what it has verified is void. */
  onRemoved(): void
}

/** The key sets of the settings: JWKS_URL's, and one an issuer, whose tokens no other key verifies. */
export class KeySets {
  /** JWKS_URL's; undefined for none. */
  readonly common: KeySet | undefined
  readonly #byIssuer: ReadonlyMap<unknown, KeySet>

  constructor({ config, log, verifierOf, onRemoved }: KeySetsOptions) {
    const read = (source: KeySource, issuers: string[]) => {
      warnOfPlainHttp('url' in source ? source.url : source.issuer, log)
      const accepted = config.jwtAlgorithms
      return new KeySet({
        ...{ source, log, accepted, onRemoved, clock: systemClock },
        verifierOf: (key) => verifierOf(key, issuers),
      })
    }
    this.common = config.jwksUrl === undefined ? undefined : read({ url: config.jwksUrl }, config.jwtIssuer)
    this.#byIssuer = new Map(config.jwtIssuers.map((issuer) => [issuer, read({ issuer }, [issuer])]))
  }

  /** The set of the token's issuer; undefined for a token of nobody who has one. */
  ofIssuer({ iss }: Origin): KeySet | undefined {
    return this.#byIssuer.get(iss)
  }

  close(): void {
    this.common?.close()
    for (const set of this.#byIssuer.values()) set.close()
  }
}

const decode = createDecoder({ complete: true })

/** Where a token says it is from; undefined for what is no token. */
export function originOf(token: string): Origin | undefined {
  try {
    const { header, payload } = decode(token)
    const { kid, alg } = header
    if (kid !== undefined && typeof kid !== 'string') return undefined
    return { kid, alg, iss: payload.iss }
  } catch {
    return undefined
  }
}

function warnOfPlainHttp(url: string, log: Log): void {
  const { protocol, hostname, origin } = new URL(url)
  if (protocol === 'https:' || /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(hostname)) return
  log.warn({ keySet: origin }, 'keys that come over plain http can be forged on their way')
}
