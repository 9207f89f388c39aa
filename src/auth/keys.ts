import { createPublicKey, type KeyObject } from 'node:crypto'
import { type Config, ConfigError } from '../config.ts'

/** A key that tokens are verified with, and the only algorithms it is used for. */
export interface VerificationKey {
  key: string
  algorithms: Algorithm[]
}

export type Algorithm = NonNullable<Config['jwtAlgorithms']>[number]

/** RFC 7518 section 3.2: an HS256 key has the size of the hash at least. */
const SECRET_MIN_BYTES = 32

const byCurve: Record<string, Algorithm> = { prime256v1: 'ES256', secp384r1: 'ES384', secp521r1: 'ES512' }

/**
 * The keys that the settings name. Each key gets only the algorithms of its own kind, so that a public key is never
 * taken for an HMAC secret. `nameOf` names settings in errors. Throws ConfigError when there is no key at all, or none
 * that an accepted algorithm fits.
 */
export function verificationKeys(
  config: Config,
  nameOf = (key: keyof Config): string => key,
): VerificationKey[] {
  const accepted = config.jwtAlgorithms
  const candidates = [
    ...config.jwtSecret.map((key) => ({ key, possible: ['HS256', 'HS384', 'HS512'] satisfies Algorithm[] })),
    ...config.jwtPublicKey.map((key) => ({ key, possible: algorithmsOf(key, nameOf) })),
  ]
  const keys = candidates.map(({ key, possible }) => ({
    key,
    algorithms:
      accepted === undefined ? possible.slice(0, 1) : possible.filter((one) => accepted.includes(one)),
  }))
  if (keys.length === 0 && !hasKeySets(config)) {
    throw new ConfigError(
      `${nameOf('jwtSecret')}, ${nameOf('jwtPublicKey')}, ${nameOf('jwksUrl')} or ${nameOf('jwtIssuers')}: one of them must be set`,
    )
  }
  const fitsKeySets = accepted?.some((one) => !one.startsWith('HS')) ?? true
  if (keys.some(({ algorithms }) => algorithms.length === 0) || (hasKeySets(config) && !fitsKeySets)) {
    throw new ConfigError(`${nameOf('jwtAlgorithms')}: no accepted algorithm fits one of the keys`)
  }
  return keys
}

/** Whether there are keys that a server publishes. */
export function hasKeySets({ jwksUrl, jwtIssuers }: Config): boolean {
  return jwksUrl !== undefined || jwtIssuers.length > 0
}

/** Whether a secret is shorter than its algorithm wants. */
export function hasShortSecret(config: Config): boolean {
  return config.jwtSecret.some((secret) => Buffer.byteLength(secret) < SECRET_MIN_BYTES)
}

/** The algorithms that a public key of the settings can verify; the first is used unless the settings say otherwise. */
function algorithmsOf(pem: string, nameOf: (key: keyof Config) => string): Algorithm[] {
  const fault = (text: string) => new ConfigError(`${nameOf('jwtPublicKey')}: ${text}`)
  let key: KeyObject
  try {
    key = createPublicKey(pem)
  } catch {
    throw fault('not a public key in PEM form')
  }
  const algorithms = algorithmsFor(key)
  if (algorithms.length === 0) throw fault('RSA, P-256, P-384, P-521 or Ed25519 keys only')
  return algorithms
}

/** The algorithms of a public key's own kind, the usual one first; none for kinds that tokens are not signed with. */
export function algorithmsFor(key: KeyObject): Algorithm[] {
  if (key.asymmetricKeyType === 'rsa') return ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512']
  if (key.asymmetricKeyType === 'ed25519') return ['EdDSA']
  const algorithm = byCurve[key.asymmetricKeyDetails?.namedCurve ?? '']
  return algorithm === undefined ? [] : [algorithm]
}
