import { digestOf } from './early-memory.ts'
import { headOf, type Live } from './live.ts'
import type { Hold } from './room.ts'

/** What waits in a room while its history is given: it is the same messages, and better known. */
export class Waiting {
  readonly #hold: Hold | undefined
  readonly #placed = new Map<string, Live>()
  readonly #early = new Map<string, Live>()

  constructor(hold: Hold | undefined) {
    this.#hold = hold
    for (const live of hold?.lives ?? []) {
      const { kind, position } = live
      if (kind === 'early') this.#early.set(digestOf(headOf(live)), live)
      else if (position !== undefined) this.#placed.set(`${position.epoch} ${position.offset}`, live)
    }
  }

  /**
   * What is to be given for a message of the history: with whom it must not reach, if that is known. What waits as early
   * does not wait any more.
   */
  take(replayed: Live): Live {
    const { position } = replayed
    const placed = this.#placed.get(`${position?.epoch} ${position?.offset}`)
    const key = this.#early.size === 0 ? '' : digestOf(headOf(replayed))
    const early = this.#early.get(key)
    if (early !== undefined && this.#hold !== undefined) {
      this.#early.delete(key)
      this.#hold.lives = this.#hold.lives.filter((live) => live !== early)
    }
    const known = placed ?? early
    return known === undefined ? replayed : { ...replayed, excluded: known.excluded }
  }
}
