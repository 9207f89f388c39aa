import type { Clock } from '../clock.ts'
import type { Client } from './client.ts'

/** A client's figures; bytes and messages both ways, times as Unix milliseconds. */
export interface ClientStats {
  client: string
  user: string
  rooms: string[]
  connectedAt: number
  lastPingAt: number | undefined
  lastPongAt: number | undefined
  roundTripMs: number | undefined
  pings: number
  pongs: number
  messagesIn: number
  messagesOut: number
  bytesIn: number
  bytesOut: number
  outboxBytes: number
  drops: number
}

/** Reads a client's figures. */
export function statsOf(client: Client, clock: Clock): ClientStats {
  const { pulse } = client
  // The pulse keeps the steady clock; people read the other.
  const toWall = clock.wallMs() - clock.steadyMs()
  const wall = (at: number | undefined) => (at === undefined ? undefined : Math.round(at + toWall))
  return {
    client: client.id,
    user: client.user,
    rooms: [...client.rooms],
    connectedAt: client.connectedAt,
    lastPingAt: wall(pulse.lastPingAt),
    lastPongAt: wall(pulse.lastPongAt),
    roundTripMs: pulse.roundTripMs,
    pings: pulse.pings,
    pongs: pulse.pongs,
    messagesIn: client.messagesIn,
    messagesOut: client.messagesOut,
    bytesIn: client.bytesIn,
    bytesOut: client.bytesOut,
    outboxBytes: client.outboxBytes,
    drops: client.drops,
  }
}
