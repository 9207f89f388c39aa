import type { ErrorEnvelope, FromClient, ToClient } from '../../src/protocol/wire.ts'
import { RoomcastError } from './errors.ts'
import type { Link } from './link.ts'

/** What is done with an answer. */
interface Pending {
  link: Link
  answer(envelope: ToClient): void
  /** The link went first. */
  lost(): void
}

/** Requests that have an id and no answer yet. */
export class Requests {
  readonly #pending = new Map<number, Pending>()
  #lastId = 0

  /** Sends; one of `answer` and `lost` is called, once. `text` is the JSON text of the members behind the id. */
  send(link: Link, text: string, answer: Pending['answer'], lost: Pending['lost']): void {
    const id = ++this.#lastId
    this.#pending.set(id, { link, answer, lost })
    link.send(`{"id":${id},${text.slice(1)}`)
  }

  /** Rejects with a RoomcastError: the server's own, or `lost`. */
  ask<Answer extends ToClient>(link: Link, request: FromClient): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.send(
        link,
        JSON.stringify(request),
        (envelope) => (envelope.type === 'error' ? reject(errorOf(envelope)) : resolve(envelope as Answer)),
        () => reject(new RoomcastError('lost', 'connection lost', { maybeDelivered: true })),
      )
    })
  }

  /** Whether it was an answer. */
  answered(envelope: ToClient): boolean {
    const id = 'id' in envelope ? envelope.id : undefined
    const pending = typeof id === 'number' ? this.#pending.get(id) : undefined
    if (pending === undefined) return false
    this.#pending.delete(id as number)
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
      pending.lost()
    }
  }
}

export function errorOf({ code, message, retryAfterMs }: ErrorEnvelope): RoomcastError {
  return new RoomcastError(code, message, retryAfterMs === undefined ? {} : { retryAfterMs })
}
