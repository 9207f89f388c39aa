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
  #texts: string[] = []
  #bytes = 0

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** Bytes of memory, at most. */
  get bytes(): number {
    return this.#bytes
  }

  get size(): number {
    return this.#texts.length
  }

  /** Without room the event is counted as dropped. */
  add(type: EventName, text: string): void {
    const bytes = heldBy(text)
    if (this.#bytes + bytes > this.#maxBytes) {
      this.dropped[type]++
      return
    }
    this.#bytes += bytes
    this.#texts.push(text)
  }

  /** The first events, as many as a request has; at least one, if there is one. */
  batch(): string[] {
    let chars = 0
    const end = this.#texts.slice(0, BATCH_EVENTS).findIndex((text, index) => {
      chars += text.length
      return index > 0 && chars > BATCH_CHARS
    })
    return this.#texts.slice(0, end === -1 ? BATCH_EVENTS : end)
  }

  /** Takes the first `count` events out. */
  remove(count: number): void {
    for (const text of this.#texts.splice(0, count)) this.#bytes -= heldBy(text)
  }
}

/** A character has two bytes as soon as one of the text needs them. */
const heldBy = (text: string) => text.length * 2 + EVENT_BYTES
