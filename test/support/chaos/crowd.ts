// Some dozen persons in a few rooms, who talk all the time.
import { pace, pollUntil } from '../until.ts'
import { Dice } from './dice.ts'
import { Person, type Place } from './person.ts'
import type { Recording } from './recording.ts'

/** A turn of the load. */
const TURN_MS = 50
/** A mark that has not reached everybody by then is followed by another. */
const MARK_MS = 1500
const WHOLE_MS = 30_000
const ANSWERED_MS = 10_000

export interface CrowdOptions {
  seed: number
  recording: Recording
  persons: number
  rooms: number
  /** Each is in so many of them. */
  roomsEach: number
  /** All together. */
  messagesASecond: number
  /** The places that can be connected to. */
  places: () => Place[]
}

export class Crowd {
  readonly persons: Person[]
  readonly #options: CrowdOptions
  readonly #dice: Dice
  #lives: Promise<void>[] = []
  #marks = 0
  #load: NodeJS.Timeout | undefined

  constructor(options: CrowdOptions) {
    const { seed, recording, persons, rooms, roomsEach, places } = options
    this.#options = options
    this.#dice = new Dice(seed)
    this.persons = Array.from({ length: persons }, (_, n) => {
      const dice = new Dice(seed + n + 1)
      const own = Array.from({ length: roomsEach }, (_, k) => `room ${(n + k) % rooms}`)
      const place = () => {
        const all = places()
        const home = all.find(({ index }) => index === n % 3)
        return home !== undefined && dice.chance(0.7) ? home : dice.pick(all)
      }
      return new Person({ name: `p${n}`, dice, recording, rooms: own, place })
    })
  }

  /** Resolves when all are there. */
  async begin(): Promise<void> {
    this.#lives = this.persons.map((person) => person.live())
    await pollUntil('everybody has joined', () => this.persons.every(({ isSettled }) => isSettled), WHOLE_MS)
    this.#load = setInterval(() => this.#turn(), TURN_MS)
  }

  #turn(): void {
    const count = (this.#options.messagesASecond * TURN_MS) / 1000
    const due = Math.floor(count) + (this.#dice.chance(count % 1) ? 1 : 0)
    for (let n = 0; n < due; n++) {
      const person = this.#dice.pick(this.persons)
      // Often a few at once, and now and then to everybody.
      const burst = this.#dice.chance(0.1) ? 5 : 1
      const room = this.#dice.chance(0.03) ? undefined : this.#dice.pick(person.rooms)
      for (let k = 0; k < burst; k++) person.say(room)
    }
    if (this.#dice.chance(0.3)) this.#dice.pick(this.persons).stir()
  }

  /** Resolves with when everybody got in each room what others say from each node; undefined if never. */
  async whole(): Promise<number | undefined> {
    const endMs = performance.now() + WHOLE_MS
    while (performance.now() < endMs) {
      const hasAll = this.persons.every(({ isSettled }) => isSettled) && (await this.#isMarked())
      if (hasAll) return performance.now()
      await pace(TURN_MS)
    }
    return undefined
  }

  async #isMarked(): Promise<boolean> {
    const marks = new Map<string, string[]>()
    for (const room of new Set(this.persons.flatMap(({ rooms }) => rooms))) {
      const members = this.persons.filter(({ rooms }) => rooms.includes(room))
      const speakers = new Map(members.map((person) => [person.node, person]))
      const own = [...speakers.values()].map((person) => person.say(room, `mark-${++this.#marks}`))
      if (own.includes(undefined)) return false
      marks.set(room, own as string[])
    }
    const isMarked = () =>
      this.persons.every((person) =>
        person.rooms.every((room) => marks.get(room)?.every((mark) => person.marks.has(mark))),
      )
    return pollUntil('the marks', () => isMarked(), MARK_MS).catch(() => false)
  }

  /** No more is said; resolves when all that was said is answered, and everybody has gone. */
  async end(): Promise<void> {
    clearInterval(this.#load)
    await pollUntil('the acks', () => this.persons.every(({ isAnswered }) => isAnswered), ANSWERED_MS).catch(
      () => undefined,
    )
    for (const person of this.persons) person.end()
    await Promise.all(this.#lives)
  }
}
