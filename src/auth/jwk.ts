import { KeyObject } from 'node:crypto'
import { importJWK } from 'jose'
import { z } from 'zod'
import { KeyFault } from './key-source.ts'
import { type Algorithm, algorithmsFor, type VerificationKey } from './keys.ts'

/** Each costs a fraction of a millisecond; real sets have two to ten. */
const KEYS_MAX = 100
/** A key's id is remembered, also one that there is not. */
export const KEY_ID_MAX_CHARS = 256
const RSA_MIN_BITS = 2048

/** A key of a key set, with the id that a token's header names it by, if it has one. */
export interface PublishedKey extends VerificationKey {
  kid: string | undefined
}

const keySet = z.object({ keys: z.array(z.unknown()).max(KEYS_MAX) })
/** Public keys for signatures alone; what is not named here is left out. */
const publicKey = z.object({
  kty: z.enum(['RSA', 'EC', 'OKP']),
  kid: z.string().max(KEY_ID_MAX_CHARS).optional(),
  use: z.literal('sig').optional(),
  key_ops: z
    .array(z.string())
    .refine((operations) => operations.includes('verify'))
    .optional(),
  alg: z.string().optional(),
  crv: z.string().optional(),
  n: z.string().optional(),
  e: z.string().optional(),
  x: z.string().optional(),
  y: z.string().optional(),
  d: z.undefined().optional(),
})
type Jwk = z.infer<typeof publicKey>

/** What a key without `alg` is read as; its kind alone counts. */
const kinds: Record<string, Algorithm> = {
  RSA: 'RS256',
  'P-256': 'ES256',
  'P-384': 'ES384',
  'P-521': 'ES512',
  Ed25519: 'EdDSA',
}

/**
 * The keys of a key set's document that can verify tokens; others are passed over. `accepted` are the algorithms of the
 * settings, if they name any. Rejects with a KeyFault when there is none.
 */
export async function keysIn(document: unknown, accepted: Algorithm[] | undefined): Promise<PublishedKey[]> {
  const { data } = keySet.safeParse(document)
  if (data === undefined) throw new KeyFault(`no key set, or more than ${KEYS_MAX} keys`)
  const keys: PublishedKey[] = []
  for (const entry of data.keys) {
    const parsed = publicKey.safeParse(entry)
    const key = parsed.success ? await published(parsed.data, accepted) : undefined
    if (key !== undefined) keys.push(key)
  }
  if (keys.length === 0) throw new KeyFault('no key that can verify tokens')
  return keys
}

async function published(jwk: Jwk, accepted: Algorithm[] | undefined): Promise<PublishedKey | undefined> {
  const kind = kinds[jwk.kty === 'RSA' ? 'RSA' : (jwk.crv ?? '')]
  if (kind === undefined) return undefined
  // RFC 9864 names the curve; JWTs have the old name.
  const alg = jwk.alg === 'Ed25519' ? 'EdDSA' : jwk.alg
  try {
    const imported = await importJWK({ ...jwk, alg: alg ?? kind } as never, alg ?? kind, {
      extractable: true,
    })
    const key = KeyObject.from(imported as Parameters<typeof KeyObject.from>[0])
    if ((key.asymmetricKeyDetails?.modulusLength ?? RSA_MIN_BITS) < RSA_MIN_BITS) return undefined
    // Whatever the document says, a key gets only algorithms of its own kind.
    const possible = algorithmsFor(key).filter((one) => alg === undefined || one === alg)
    const algorithms =
      accepted === undefined ? possible.slice(0, 1) : possible.filter((one) => accepted.includes(one))
    if (algorithms.length === 0) return undefined
    return { kid: jwk.kid, key: key.export({ type: 'spki', format: 'pem' }).toString(), algorithms }
  } catch {
    // Not a key of its kind: the others are.
    return undefined
  }
}
