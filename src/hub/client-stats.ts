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
