/** How much is begun in a turn of the event loop, and how much may wait. */
export interface TurnLimits {
  /** So many are carried out a turn. */
  perTurn: number
  /** No more than this wait; what is beyond is carried out at once. */
  maxWaiting: number
}

/**
 * What waits to be carried out, a few in each turn of the event loop. After a restart thousands of clients come in one
 * turn; done at once, they would hold up everybody else, health checks first, for as long as they take together.
 */
export class TurnQueue<Item> {
  readonly #carryOut: (item: Item) => void
  readonly #limits: TurnLimits
  #waiting: Item[] = []
  #isScheduled = false

  /** `carryOut` is called once for each item, in their order, and must not throw. */
  constructor(carryOut: (item: Item) => void, limits: TurnLimits) {
    this.#carryOut = carryOut
    this.#limits = limits
  }

  add(item: Item): void {
    this.#waiting.push(item)
    this.#schedule()
  }

  /** Gives up what waits, and returns it. */
  clear(): Item[] {
    const items = this.#waiting
    this.#waiting = []
    return items
  }

  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    setImmediate(this.#run)
  }

  readonly #run = (): void => {
    this.#isScheduled = false
    const { perTurn, maxWaiting } = this.#limits
    const count = Math.max(perTurn, this.#waiting.length - maxWaiting)
    for (const item of this.#waiting.splice(0, count)) this.#carryOut(item)
    if (this.#waiting.length > 0) this.#schedule()
  }
}
