import type { ErrorEnvelope, FromClient, ToClient } from '../../src/protocol/wire.ts'
import { RoomcastError } from './errors.ts'
import type { Link } from './link.ts'

/** What is done with an answer. */
interface Pending {
  link: Link
  answer(envelope: ToClient): void
  /** The link went first. */
  lost?: (() => void) | undefined
}

/** Requests that have an id and no answer yet. */
export class Requests {
  /** What the server takes. */
  maxBytes = Infinity
  readonly #pending = new Map<number, Pending>()
  #lastId = 0

  /** Sends; one of `answer` and `lost` is called, once. `text` is the JSON text of the members behind the id. */
  send(link: Link, text: string, answer: Pending['answer'], lost?: Pending['lost']): void {
    const id = ++this.#lastId
    const frame = `{"id":${id},${text.slice(1)}`
    // One that is too large would end the connection for good. A character takes three bytes at most.
    if (frame.length * 3 > this.maxBytes && new TextEncoder().encode(frame).length > this.maxBytes) {
      answer({ type: 'error', code: 'too_large', message: `over ${this.maxBytes} bytes` } as never)
      return
    }
    this.#pending.set(id, { link, answer, lost })
    link.send(frame)
  }

  /** Rejects with a RoomcastError: the server's own, or `lost`. */
  ask<Answer extends ToClient>(link: Link, request: FromClient): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.send(
        link,
        JSON.stringify(request),
        (envelope) => (envelope.type === 'error' ? reject(errorOf(envelope)) : resolve(envelope as Answer)),
        () => reject(new RoomcastError('lost', undefined, true)),
      )
    })
  }

  /** Whether it was an answer. */
  answered(envelope: ToClient): boolean {
    const { id } = envelope as { id: number }
    const pending = this.#pending.get(id)
    if (pending === undefined) return false
    this.#pending.delete(id)
    pending.answer(envelope)
    return true
  }

  /** Whether answers are due on the link. */
  owes(link: Link): boolean {
    for (const pending of this.#pending.values()) if (pending.link === link) return true
    return false
  }

  lost(link: Link): void {
    for (const [id, pending] of [...this.#pending]) {
      if (pending.link !== link) continue
      this.#pending.delete(id)
      pending.lost?.()
    }
  }
}

export function errorOf({ code, message, retryAfterMs }: ErrorEnvelope): RoomcastError {
  return new RoomcastError(code, message, false, retryAfterMs)
}
