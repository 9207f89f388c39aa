import type { HistoryLimits } from './bridge.ts'
import type { Flight } from './redis-flights.ts'
import { PAYLOAD_BYTES, PAYLOAD_MESSAGES } from './redis-payload.ts'

/** Publishes of one room that are kept alike, one after the other, that go to Redis together. */
export interface PublishBatch {
  readonly room: string | undefined
  readonly history: HistoryLimits | undefined
  readonly flights: Flight[]
}

/**
 * Collects what is to go to Redis at the end of a turn. Only publishes that follow each other share one:
 * so all of a node's messages reach Redis in the order of their publishing, whatever their rooms.
 */
export class Outgoing {
  #batches: PublishBatch[] = []
  /** Of the last batch. */
  #bytes = 0

  add(flight: Flight): void {
    const { room, history } = flight.publication
    const last = this.#batches.at(-1)
    if (
      last !== undefined &&
      last.room === room &&
      last.history === history &&
      last.flights.length < PAYLOAD_MESSAGES &&
      this.#bytes < PAYLOAD_BYTES
    ) {
      last.flights.push(flight)
      this.#bytes += flight.head.length
      return
    }
    this.#batches.push({ room, history, flights: [flight] })
    this.#bytes = flight.head.length
  }

  /** Those flights that `still` are to go. */
  take(still: (flight: Flight) => boolean): PublishBatch[] {
    const batches = this.#batches.map(({ flights, ...batch }) => ({
      ...batch,
      flights: flights.filter(still),
    }))
    this.#batches = []
    return batches.filter(({ flights }) => flights.length > 0)
  }
}
