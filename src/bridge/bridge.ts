import type { Scope } from '../protocol/envelope.ts'

/** A message on its way to a room, or to everybody when `room` is undefined. */
export interface Publication {
  room: string | undefined
  /** The outgoing envelope's text without its end (`messageHead`); the bridge decides on the offset. */
  head: string
  /** The client that must not get it: the sender, unless it asked for an echo. */
  exclude: string | undefined
}

/** How far a publication went. */
export interface Published {
  scope: Scope
  /** The message's place in the room's history, where the room keeps one. */
  offset?: number
}

/** A message that the bridge hands to the hub of every node that has members in its room. */
export interface Delivery {
  room: string | undefined
  /** The finished outgoing text. */
  text: string
  exclude: string | undefined
}

/** What `/health` says of the bridge. */
export interface BridgeStatus {
  kind: 'memory' | 'redis'
  state: 'up' | 'down'
}

/**
 * The port that carries messages between nodes. Deliveries of one room come in one order on every node,
 * the publishing one included. Implementations: memory-bridge.ts.
 */
export interface Bridge {
  /** Must be called once, before anything else; `deliver` must not throw. */
  start(deliver: (delivery: Delivery) => void): void
  /** Resolves when the bridge has taken the message; calls of one caller keep their order. */
  publish(publication: Publication): Promise<Published>
  /** Resolves once messages published on any node from then on will be delivered here. */
  subscribe(room: string): Promise<void>
  /** The last member on this node has left. */
  unsubscribe(room: string): void
  status(): BridgeStatus
  close(): Promise<void>
}
