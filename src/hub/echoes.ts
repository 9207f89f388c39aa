import { crc32 } from 'node:zlib'
import { BoundedMap } from '../bounded-map.ts'

/** Publishes that are remembered, at about 100 bytes each: as many as may be under way. */
const MAX_ECHOES = 10_000

/**
 * Which of the publishes under way their senders want to have back. Live messages carry that with them; the history, from
 * which the node fills gaps, does not. A publish is known by its sender and its head: several may have the same time.
 */
export class Echoes {
  readonly #wanted = new BoundedMap<string, true>(MAX_ECHOES)

  want(client: string, head: string): void {
    this.#wanted.set(keyOf(client, head), true)
  }

  isWanted(client: string, head: string | Buffer): boolean {
    return this.#wanted.has(keyOf(client, head))
  }
}

function keyOf(client: string, head: string | Buffer): string {
  return `${client} ${crc32(head)}`
}
