import type { Position } from '../protocol/envelope.ts'
import { digestOf } from './early-memory.ts'
import { headOf, type Live } from './live.ts'
import type { Hold } from './room.ts'

/** What waits in a room while its history is given: it is the same messages, and better known. */
export class Waiting {
  readonly #hold: Hold | undefined
  readonly #placed = new Map<string, Live>()
  readonly #early = new Map<string, Live>()
  /** What has no place in the history, by the place of what it came ahead of. */
  readonly #ahead = new Map<string, Live[]>()

  constructor(hold: Hold | undefined) {
    this.#hold = hold
    const unplaced: Live[] = []
    for (const live of hold?.lives ?? []) {
      const { kind, position } = live
      if (kind === 'early') this.#early.set(digestOf(headOf(live)), live)
      else if (position === undefined) unplaced.push(live)
      else {
        this.#placed.set(placeOf(position), live)
        if (unplaced.length > 0) this.#ahead.set(placeOf(position), unplaced.splice(0))
      }
    }
  }

  /** What came right ahead of this place without being kept: it does not wait any more. */
  takeAhead(position: Position): readonly Live[] {
    const lives = this.#ahead.get(placeOf(position))
    if (lives === undefined || this.#hold === undefined) return []
    this.#hold.lives = this.#hold.lives.filter((live) => !lives.includes(live))
    return lives
  }

  /**
   * What is to be given for a message of the history: with whom it must not reach, if that is known. What waits as early
   * does not wait any more.
   */
  take(replayed: Live): Live {
    const { position } = replayed
    const placed = position && this.#placed.get(placeOf(position))
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

function placeOf({ epoch, offset }: Position): string {
  return `${epoch} ${offset}`
}
