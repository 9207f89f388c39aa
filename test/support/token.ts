// JWTs made by hand, so that a test can also make the ones no library would.
import { createHmac, generateKeyPairSync, type KeyObject, sign as signBytes } from 'node:crypto'

/** The secret every test server starts with; long enough for HS512. */
export const SECRET = 'roomcast-test-secret-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef'

export type Claims = Record<string, unknown>

export interface Signing {
  alg?: string
  /** The secret of an HMAC, or a private key. */
  key?: string | Buffer | KeyObject
  /** More header fields (`kid`, `typ`), or other values for `alg`. */
  header?: Record<string, unknown>
}

const hashes: Record<string, string> = { '256': 'sha256', '384': 'sha384', '512': 'sha512' }

/** Base64url, of text or of bytes. */
export function base64url(value: string | Buffer): string {
  return Buffer.from(value).toString('base64url')
}

/** Signs any JSON value as the payload; `undefined` claims are left out. */
export function signPayload(payload: unknown, signing: Signing = {}): string {
  return signText(JSON.stringify(payload), signing)
}

/** Signs `payload` as it stands, so that it need not be JSON, or may be JSON that no stringify would give. */
export function signText(
  payload: string,
  { alg = 'HS256', key = SECRET, header = {} }: Signing = {},
): string {
  const head = base64url(JSON.stringify({ alg, typ: 'JWT', ...header }))
  const input = `${head}.${base64url(payload)}`
  return `${input}.${signature(alg, key, input)}`
}

function signature(alg: string, key: string | Buffer | KeyObject, input: string): string {
  const hash = hashes[alg.slice(2)]
  if (alg.startsWith('HS') && hash) return createHmac(hash, key).update(input).digest('base64url')
  const bytes = Buffer.from(input)
  if (alg.startsWith('RS') && hash) return signBytes(hash, bytes, key as KeyObject).toString('base64url')
  if (alg.startsWith('ES') && hash) {
    return signBytes(hash, bytes, { key: key as KeyObject, dsaEncoding: 'ieee-p1363' }).toString('base64url')
  }
  if (alg === 'EdDSA') return signBytes(null, bytes, key as KeyObject).toString('base64url')
  return ''
}

/** Seconds since 1970, as `exp`, `nbf` and `iat` count. */
export function nowS(): number {
  return Math.floor(Date.now() / 1000)
}

/** A token the server takes: `sub` and an `exp` in one hour, unless the claims say otherwise. */
export function tokenFor(sub: string, claims: Claims = {}, signing: Signing = {}): string {
  return signPayload({ sub, exp: nowS() + 3600, ...claims }, signing)
}

export interface KeyPair {
  privateKey: KeyObject
  publicKey: KeyObject
  /** The public key as JWT_PUBLIC_KEY takes it. */
  publicPem: string
}

/** A fresh key pair for the algorithm's family. */
export function keyPair(alg: 'RS256' | 'ES256' | 'EdDSA'): KeyPair {
  const { privateKey, publicKey } =
    alg === 'RS256'
      ? generateKeyPairSync('rsa', { modulusLength: 2048 })
      : alg === 'ES256'
        ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
        : generateKeyPairSync('ed25519')
  return { privateKey, publicKey, publicPem: publicKey.export({ type: 'spki', format: 'pem' }).toString() }
}
