import { createHash, timingSafeEqual } from 'node:crypto'
import type { ApiKey } from '../setting-kinds.ts'
import { Permissions } from './permissions.ts'

/** Who calls the API with one of the keys. */
export interface KeyHolder {
  name: string
  permissions: Permissions
  /** Longer than any user's name, so nobody's: the owner of this key's idempotent publishes. */
  keyOwner: string
}

/** No user's name has as many characters. */
const KEY_OWNER_CHARS = 257

/** The keys of the API. A secret is compared in constant time, and with all of them, whichever it is. */
export class ApiKeys {
  readonly #keys: { digest: Buffer; holder: KeyHolder }[]

  constructor(keys: readonly ApiKey[]) {
    this.#keys = keys.map(({ name, secret, can }) => ({
      digest: digestOf(secret),
      holder: {
        name,
        permissions: new Permissions(can ?? everything, undefined),
        keyOwner: name.padStart(KEY_OWNER_CHARS),
      },
    }))
  }

  /** Whose secret it is; undefined for nobody's. */
  holderOf(secret: string): KeyHolder | undefined {
    const digest = digestOf(secret)
    let found: KeyHolder | undefined
    for (const key of this.#keys) if (timingSafeEqual(key.digest, digest)) found = key.holder
    return found
  }
}

const everything = { publish: ['*'], broadcast: true, admin: true }

/** Digests have one length, which the comparison needs, and tell nothing of a secret's own. */
function digestOf(secret: string): Buffer {
  return createHash('sha256').update(secret).digest()
}
