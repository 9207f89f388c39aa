import { BoundedMap } from '../bounded-map.ts'
import type { Clock } from '../clock.ts'

/** Announcements of this node's own, a second apart, that it hears without hearing from another node: that one is dead. */
export const SILENT_BEATS = 10
/** When a node has not heard itself for so long, it has heard nobody: all others have their time anew. */
const DEAF_MS = 3000
/** Other nodes; whoever may publish in Redis may pretend to be one. */
const NODES = 10_000

/** Which of the other nodes live. The clock for that is what this node hears of itself: it stands while nothing is heard. */
export class NodeWatch {
  /** So often this node has heard itself. */
  beats = 0
  readonly #clock: Clock
  /** By node: the beat at which it was last heard. */
  readonly #heard = new BoundedMap<string, number>(NODES)
  readonly #dead = new BoundedMap<string, true>(NODES)
  #beatAtMs = -Infinity

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** This node has heard itself; returns whether it had not for long, and the nodes that are dead now. */
  beat(): { wasDeaf: boolean; dead: string[] } {
    const now = this.#clock.steadyMs()
    const wasDeaf = now - this.#beatAtMs > DEAF_MS
    this.#beatAtMs = now
    this.beats++
    const dead: string[] = []
    for (const [node, beat] of [...this.#heard]) {
      if (wasDeaf) this.#heard.set(node, this.beats)
      else if (this.beats - beat >= SILENT_BEATS) dead.push(node)
    }
    for (const node of dead) {
      this.#heard.delete(node)
      this.#dead.set(node, true)
    }
    return { wasDeaf, dead }
  }

  /** Another node lives; returns whether it was taken for dead. */
  hear(node: string): boolean {
    this.#heard.set(node, this.beats)
    const wasDead = this.#dead.has(node)
    if (wasDead) this.#dead.delete(node)
    return wasDead
  }
}
