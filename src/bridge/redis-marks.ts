import { BoundedMap, textEntryBytes } from '../bounded-map.ts'
import type { Clock } from '../clock.ts'
import { KEY_TTL_MS, LOCAL_KEYS, LOCAL_KEYS_BYTES } from './bridge.ts'

/** What this node knows of an idempotent publish: it has gone everywhere, or to this node's members of a time only. */
export type KnownPublish = { isEverywhere: true } | { isEverywhere: false; joins: number }

/**
 * The idempotent publishes that this node has taken or heard of, by their mark: so that a repeat during an outage is
 * known for one.
 */
export class RedisMarks {
  readonly #clock: Clock
  /** Oldest first. */
  readonly #known = new BoundedMap<string, KnownPublish & { atMs: number }>({
    entries: LOCAL_KEYS,
    bytes: LOCAL_KEYS_BYTES,
    bytesOf: textEntryBytes,
  })

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get(mark: string): KnownPublish | undefined {
    const known = this.#known.get(mark)
    return known !== undefined && this.#clock.steadyMs() - known.atMs < KEY_TTL_MS ? known : undefined
  }

  /** Redis has taken it, so every node has or gets it. */
  isEverywhere(mark: string): void {
    this.#known.set(mark, { isEverywhere: true, atMs: this.#clock.steadyMs() })
  }

  /** Only members of this node have it: those who joined before so many joins (`BridgeHost.joins`). */
  isHere(mark: string, joins: number): void {
    this.#known.set(mark, { isEverywhere: false, joins, atMs: this.#clock.steadyMs() })
  }

  sweep(): void {
    const now = this.#clock.steadyMs()
    for (const [mark, { atMs }] of this.#known) {
      if (now - atMs < KEY_TTL_MS) break
      this.#known.delete(mark)
    }
  }
}
