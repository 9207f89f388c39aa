/** What clients send is looked at for so long a turn; then the loop gets its turn, and what waits is sent out. */
const SLICE_MS = 8

/**
 * When what clients have sent is looked at. A room in which everybody speaks brings megabytes at one time: it is
 * taken in the order in which it came, in slices.
 */
export class Inbox {
  readonly #schedule: () => void
  /** What is being looked at, and how much of it is done; what comes meanwhile is looked at after that. */
  #taken: (() => void)[] = []
  #done = 0
  #next: (() => void)[] = []
  #isCarryingOn = false
  /** When the first was looked at in this turn. */
  #startedAt: number | undefined

  /** `schedule` has `carryOn` called at the end of the turn. */
  constructor(schedule: () => void) {
    this.#schedule = schedule
  }

  /** Whether something may be looked at now; else it is to wait. */
  get hasTime(): boolean {
    if (!this.#isCarryingOn && this.isWaiting) return false
    const now = performance.now()
    if (this.#startedAt === undefined) {
      this.#startedAt = now
      this.#schedule()
    }
    return now - this.#startedAt < SLICE_MS
  }

  /** Has `look` called in a later slice, behind what waits already. */
  wait(look: () => void): void {
    const waiting = this.#isCarryingOn ? this.#taken : this.#next
    waiting.push(look)
  }

  /** Whether something has come that is not looked at. */
  get isWaiting(): boolean {
    return this.#done < this.#taken.length || this.#next.length > 0
  }

  /** Looks at what waits for as long as this turn has time; called at its end. */
  carryOn(): void {
    if (this.#done === this.#taken.length) {
      this.#taken = this.#next
      this.#next = []
      this.#done = 0
    }
    this.#isCarryingOn = true
    while (this.#done < this.#taken.length && this.hasTime) this.#taken[this.#done++]?.()
    this.#isCarryingOn = false
    this.#startedAt = undefined
    if (this.isWaiting) this.#schedule()
    // Else the last burst would be kept in memory until there is another.
    else this.#forget()
  }

  #forget(): void {
    this.#taken = []
    this.#done = 0
  }
}
