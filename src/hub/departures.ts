import type { Client } from './client.ts'

/** So many memberships end in a turn of the event loop, at some 2 µs each; with Redis 5. */
const LEAVES_A_TURN = 1000

/**
 * Has clients that are closing leave their rooms: at once, as long as they are few. When a thousand clients of a thousand
 * rooms go together, the rest goes in later turns. Nothing is sent to a client that is closing, so nobody sees it.
 */
export class Departures {
  readonly #leave: (client: Client, room: string) => void
  #waiting: Client[] = []
  #next = 0
  /** Memberships that this turn has ended. */
  #left = 0
  #isScheduled = false
  #isRunning = false

  constructor(leave: (client: Client, room: string) => void) {
    this.#leave = leave
  }

  add(client: Client): void {
    if (client.rooms.size === 0) return
    this.#waiting.push(client)
    if (!this.#isRunning) this.#goOn()
  }

  #goOn(): void {
    this.#isRunning = true
    this.#takeTurn()
    this.#isRunning = false
  }

  #takeTurn(): void {
    for (let client = this.#waiting[this.#next]; client !== undefined; client = this.#waiting[++this.#next]) {
      for (const room of client.rooms) {
        if (this.#left === LEAVES_A_TURN) return
        this.#left++
        this.#leave(client, room)
        this.#schedule()
      }
    }
    this.#waiting = []
    this.#next = 0
  }

  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    setImmediate(this.#beginTurn)
  }

  readonly #beginTurn = (): void => {
    this.#isScheduled = false
    this.#left = 0
    this.#goOn()
  }
}
