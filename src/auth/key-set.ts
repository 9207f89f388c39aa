import { BoundedMap } from '../bounded-map.ts'
import type { Clock } from '../clock.ts'
import type { Log } from '../log.ts'
import { KEY_ID_MAX_CHARS, keysIn, type PublishedKey } from './jwk.ts'
import { type KeySource, readKeys } from './key-source.ts'
import type { Algorithm } from './keys.ts'

/** Read again so often, so that a key that was taken away is not taken for long, and a new one is there before its tokens. */
const REFRESH_MS = 5 * 60_000
const RETRY_MS = 30_000
/** At least so long between two readings, however many tokens name keys that there are not. */
const COOL_DOWN_MS = 2000
const FAILED_COOL_DOWN_MS = 5000
/** A key that was not there is not asked for again for so long, and that of a token that names none, for so long. */
const ABSENT_MS = 30_000
const UNNAMED_MS = 5000
const ABSENT_KEYS = 1000
/** How long a token waits for its key; an upgrade that waits for 3.5 s is cut. */
const WAIT_MS = 3000
/** Each keeps an upgrade's socket and head, about 10 KB. */
const WAITING_MAX = 1000
/** A token without a key id is tried with so many keys. */
const TRIES_MAX = 8

export type Verify = (token: string) => unknown
/** `known`: there are such keys. `absent`: there are none. `unread`: that cannot be said now. */
export type Lookup = 'known' | 'absent' | 'unread'

export interface KeySetOptions {
  source: KeySource
  log: Log
  clock: Clock
  /** The algorithms of the settings, if they name any. */
  accepted: Algorithm[] | undefined
  verifierOf(key: PublishedKey): Verify
  /** A key is gone: what it has verified is void. */
  onRemoved(): void
}

interface Entry {
  key: PublishedKey
  verify: Verify
}

/**
 * The keys that a server publishes. They are read in the background, one reading at a time; while the server is away the
 * last ones stay. Only a token whose key id is unknown waits for a reading.
 */
export class KeySet {
  readonly #options: KeySetOptions
  readonly #name: string
  readonly #absent = new BoundedMap<string, number>(ABSENT_KEYS)
  readonly #abort = new AbortController()
  /** By what a key is: one that stays keeps its verifier. */
  #entries = new Map<string, Entry>()
  #state: 'new' | 'read' | 'failing' = 'new'
  #reading: Promise<void> | undefined
  #readAt = -Infinity
  #timer: NodeJS.Timeout | undefined
  #waiting = 0
  /** Called when a reading has ended. */
  #listeners: (() => void)[] = []

  constructor(options: KeySetOptions) {
    this.#options = options
    this.#name = 'url' in options.source ? plainAddress(options.source.url) : options.source.issuer
    void this.#read()
  }

  /** Verifiers for a token's header; of keys without an id where none has that id. */
  verifiersFor(kid: string | undefined, alg: unknown): Verify[] {
    const fitting = [...this.#entries.values()].filter(({ key }) => key.algorithms.includes(alg as Algorithm))
    const named = fitting.filter(({ key }) => key.kid === kid)
    const entries =
      kid === undefined
        ? fitting
        : named.length > 0
          ? named
          : fitting.filter(({ key }) => key.kid === undefined)
    return entries.slice(0, TRIES_MAX).map(({ verify }) => verify)
  }

  /** Whether a key with that id is there; a promise where the keys must be read for that. Never rejects. */
  lookUp(kid: string | undefined): Lookup | Promise<Lookup> {
    if (this.#has(kid)) return 'known'
    const id = kid ?? ''
    const now = this.#options.clock.steadyMs()
    const absentMs = now - (this.#absent.get(id) ?? -Infinity)
    if (id.length > KEY_ID_MAX_CHARS || absentMs < (id === '' ? UNNAMED_MS : ABSENT_MS)) return 'absent'
    const coolDownMs = this.#reading === undefined ? this.#nextAllowedAt() - now : 0
    if (this.#waiting >= WAITING_MAX || coolDownMs > WAIT_MS) return 'unread'
    return this.#wait(id, coolDownMs)
  }

  close(): void {
    clearTimeout(this.#timer)
    this.#abort.abort()
  }

  #has(kid: string | undefined): boolean {
    if (kid === undefined) return false
    for (const { key } of this.#entries.values()) if (key.kid === kid) return true
    return false
  }

  #nextAllowedAt(): number {
    return this.#readAt + (this.#state === 'failing' ? FAILED_COOL_DOWN_MS : COOL_DOWN_MS)
  }

  async #wait(id: string, coolDownMs: number): Promise<Lookup> {
    this.#waiting++
    if (this.#reading === undefined) this.#schedule(Math.max(0, coolDownMs))
    const isRead = await this.#nextReading()
    this.#waiting--
    if (!isRead || this.#state !== 'read') return 'unread'
    if (id !== '' && this.#has(id)) return 'known'
    this.#absent.set(Buffer.from(id).toString(), this.#options.clock.steadyMs())
    return id === '' ? 'known' : 'absent'
  }

  /** Whether a reading has ended in time. */
  #nextReading(): Promise<boolean> {
    return new Promise((resolve) => {
      const deadline = setTimeout(resolve, WAIT_MS, false).unref()
      this.#listeners.push(() => {
        clearTimeout(deadline)
        resolve(true)
      })
    })
  }

  #schedule(inMs: number): void {
    clearTimeout(this.#timer)
    if (this.#abort.signal.aborted) return
    this.#timer = setTimeout(() => void this.#read(), inMs).unref()
  }

  #read(): Promise<void> {
    this.#reading ??= this.#readOnce()
    return this.#reading
  }

  async #readOnce(): Promise<void> {
    const { source, accepted, clock } = this.#options
    try {
      this.#take(await keysIn(await readKeys(source, this.#abort.signal), accepted))
    } catch (error) {
      this.#failed(error as Error)
    }
    this.#reading = undefined
    this.#readAt = clock.steadyMs()
    this.#schedule(this.#state === 'read' ? REFRESH_MS : RETRY_MS)
    const listeners = this.#listeners
    this.#listeners = []
    for (const listener of listeners) listener()
  }

  #take(keys: PublishedKey[]): void {
    const { verifierOf, onRemoved, log } = this.#options
    const before = this.#entries
    this.#entries = new Map(
      keys.map((key) => {
        const what = JSON.stringify(key)
        return [what, before.get(what) ?? { key, verify: verifierOf(key) }]
      }),
    )
    const isGone = [...before.keys()].some((what) => !this.#entries.has(what))
    if (isGone) onRemoved()
    const isNews = this.#state !== 'read' || isGone || this.#entries.size !== before.size
    this.#state = 'read'
    if (isNews) log.info({ keySet: this.#name, keys: this.#entries.size }, 'key set read')
  }

  #failed({ message: reason }: Error): void {
    if (this.#state === 'failing' || this.#abort.signal.aborted) return
    this.#state = 'failing'
    const keys = this.#entries.size
    this.#options.log.warn({ keySet: this.#name, keys, reason }, 'key set cannot be read')
  }
}

/** Without a query, in which a secret may be. */
function plainAddress(url: string): string {
  const { origin, pathname } = new URL(url)
  return origin + pathname
}
