import type { Client } from './client.ts'
import type { Counters } from './counters.ts'

/** So many clients are looked at before the clock is. */
const CLIENTS_A_LOOK = 256
/** For so long at a time: a scrape must not hold up the clients that it counts. */
const SLICE_MS = 4

/** What sums are made of. */
export interface Summed {
  readonly counters: Counters
  /** Those that are about to be gone too. */
  everySocket(): readonly Client[]
}

/** What the clients have between them. All but `memberships`, `users` and `outboxBytes` only grow. */
export interface Sums {
  memberships: number
  /** Different ones that have clients here. */
  users: number
  outboxBytes: number
  messagesIn: number
  messagesOut: number
  bytesIn: number
  bytesOut: number
}

/**
 * Adds up what each client counts for itself, in slices, so that nothing is added up for each message. Those who leave
 * meanwhile are counted as they were; with what is gone at the beginning the sums never fall.
 */
export async function sumsOf(hub: Summed): Promise<Sums> {
  const users = new Set<string>()
  const sums = { memberships: 0, users: 0, outboxBytes: 0, ...hub.counters.gone }
  const clients = hub.everySocket()
  let endsAt = performance.now() + SLICE_MS
  for (const [index, client] of clients.entries()) {
    users.add(client.user)
    sums.memberships += client.rooms.size
    sums.outboxBytes += client.outboxBytes
    sums.messagesIn += client.messagesIn
    sums.messagesOut += client.messagesOut
    sums.bytesIn += client.bytesIn
    sums.bytesOut += client.bytesOut
    if (index % CLIENTS_A_LOOK === 0 && performance.now() > endsAt) {
      await new Promise((resolve) => setImmediate(resolve))
      endsAt = performance.now() + SLICE_MS
    }
  }
  sums.users = users.size
  return sums
}
