import { BoundedMap } from '../bounded-map.ts'

/** Publishes that are remembered, at about 100 bytes each: as many as may be under way. */
const MAX_ECHOES = 10_000

/**
 * Which of the publishes under way their senders want to have back. Live messages carry that with them; the history, from
 * which the node fills gaps, does not. A publish is known by its sender and time.
 */
export class Echoes {
  readonly #wanted = new BoundedMap<string, true>(MAX_ECHOES)

  want(client: string, atMs: number): void {
    this.#wanted.set(`${client} ${atMs}`, true)
  }

  isWanted(client: string, atMs: number): boolean {
    return this.#wanted.has(`${client} ${atMs}`)
  }
}
