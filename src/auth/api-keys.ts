import { timingSafeEqual } from 'node:crypto'
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

/** A key's secret has fewer (setting-kinds.ts), so a longer one that is shown fits none. */
const SECRET_CHARS = 513

/** The keys of the API. A secret is compared in constant time, and with all of them, whichever it is. */
export class ApiKeys {
  readonly #keys: { secret: Buffer; holder: KeyHolder }[]
  readonly #shown = Buffer.alloc(SECRET_CHARS)

  constructor(keys: readonly ApiKey[]) {
    this.#keys = keys.map(({ name, secret, can }) => ({
      secret: Buffer.from(secret.padEnd(SECRET_CHARS, '\0'), 'latin1'),
      holder: {
        name,
        permissions: new Permissions(can ?? everything, undefined),
        keyOwner: name.padStart(KEY_OWNER_CHARS),
      },
    }))
  }

  /** Whose secret it is; undefined for nobody's. */
  holderOf(secret: string): KeyHolder | undefined {
    // All have one length, so that the comparison's time tells nothing of theirs.
    this.#shown.fill(0).write(secret, 'latin1')
    let found: KeyHolder | undefined
    for (const key of this.#keys) if (timingSafeEqual(key.secret, this.#shown)) found = key.holder
    return found
  }
}

const everything = { publish: ['*'], broadcast: true, admin: true }
