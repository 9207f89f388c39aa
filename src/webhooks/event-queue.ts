import { type EventName, eventNames } from './events.ts'

/** What an event holds in memory beside its text, with room to spare. */
const EVENT_BYTES = 256
const BATCH_EVENTS = 100
const BATCH_CHARS = 256 * 1024

/**
 * Events that wait for a receiver, in order. Full, it takes no more: what it has keeps its order without a hole, and the
 * batch under way stays as it is.
 */
export class EventQueue {
  readonly dropped = Object.fromEntries(eventNames.map((name) => [name, 0])) as Record<EventName, number>
  readonly #maxBytes: number
  #waiting: { type: EventName; text: string }[] = []
  #bytes = 0

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** Bytes of memory, at most. */
  get bytes(): number {
    return this.#bytes
  }

  get size(): number {
    return this.#waiting.length
  }

  /** Without room the event is counted as dropped, and false returned. */
  add(type: EventName, text: string): boolean {
    const bytes = heldBy(text)
    if (this.#bytes + bytes > this.#maxBytes) {
      this.dropped[type]++
      return false
    }
    this.#bytes += bytes
    this.#waiting.push({ type, text })
    return true
  }

  /** The first events, as many as a request has; at least one, if there is one. */
  batch(): string[] {
    let chars = 0
    const first = this.#waiting.slice(0, BATCH_EVENTS).map(({ text }) => text)
    const end = first.findIndex((text, index) => {
      chars += text.length
      return index > 0 && chars > BATCH_CHARS
    })
    return end === -1 ? first : first.slice(0, end)
  }

  /** Takes the first `count` events out. */
  remove(count: number): void {
    for (const { text } of this.#waiting.splice(0, count)) this.#bytes -= heldBy(text)
  }

  /** The same, counted as dropped. */
  giveUp(count: number): void {
    for (const { type } of this.#waiting.slice(0, count)) this.dropped[type]++
    this.remove(count)
  }
}

/** A character has two bytes as soon as one of the text needs them. */
const heldBy = (text: string) => text.length * 2 + EVENT_BYTES
