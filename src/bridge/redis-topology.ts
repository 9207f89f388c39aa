import type { RedisServer } from './redis-client.ts'
import type { RedisTarget } from './redis-url.ts'

/** The slots from `first` to `last`, both included. */
export interface SlotRange {
  first: number
  last: number
}
export const SLOTS = 16_384
export const ALL_SLOTS: readonly SlotRange[] = [{ first: 0, last: SLOTS - 1 }]

/** A server that takes writes, and for which part of the keys. */
export interface Master {
  readonly server: RedisServer
  readonly slots: readonly SlotRange[]
  /** Whether another is about to take its place: what it is given now may be lost. */
  readonly isLeaving?: boolean
}

/**
 * Knows where the masters are. Implementations: FixedTopology, for one Redis; redis-sentinel-topology.ts;
 * redis-cluster-topology.ts.
 */
export interface RedisTopology {
  /** Calls `onMasters` whenever they have been asked for and found, changed or not. */
  start(onMasters: (masters: readonly Master[]) => void): void
  /** Asks anew, because something was not where it was thought to be. Resolves when that is done. Never rejects. */
  refresh(): Promise<void>
  /** Why no masters were found yet. */
  readonly fault: Error | undefined
  close(): void
}

/** One server that stays where it is. */
export class FixedTopology implements RedisTopology {
  readonly fault = undefined
  readonly #master: Master

  constructor({ options }: Extract<RedisTarget, { kind: 'single' }>) {
    this.#master = { server: options, slots: ALL_SLOTS }
  }

  start(onMasters: (masters: readonly Master[]) => void): void {
    onMasters([this.#master])
  }

  async refresh(): Promise<void> {}

  close(): void {}
}
