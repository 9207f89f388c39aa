import type { PresenceRule } from '../rules/room-rules.ts'

/** What one node says of a user in a room. */
export interface Present {
  user: string
  /** Clients of the user in the room on that node; 0 for a user who is not there any more. */
  clients: number
  /** The user's public data as JSON text; undefined for none. */
  info: string | undefined
}

/** What presence asks of its hub. */
export interface PresenceHost {
  /** Random, one a process. */
  readonly node: string
  /** This node's users in a room. */
  present(room: string): Iterable<Present>
  /** Another node tells of changes. Must not throw. */
  hear(room: string, node: string, changes: readonly Present[]): void
  /**
   * These are all users that another node has in the room: none, when it has gone, and `isGone` when it cannot tell anybody
   * of that itself. Must not throw.
   */
  hearAll(room: string, node: string, users: readonly Present[], isGone?: boolean): void
}

/**
 * The port that tells nodes of each other's users, room by room. Nothing is stored: who has gone without a word is
 * found out by silence. Implementations: memory-presence.ts, redis-presence.ts; contract: test/presence.
 */
export interface Presence {
  /** Must be called once, before anything else. */
  start(host: PresenceHost): void
  /**
   * This node wants to know of a room. Undefined, or resolves, when the other nodes' users are known; after two seconds at
   * the latest (one to listen, one for their answers), and what is not known then comes by `hear`. Never rejects.
   */
  open(room: string, rule: PresenceRule): undefined | Promise<void>
  /** Tells the other nodes what has changed here, in an open room. */
  announce(room: string, changes: readonly Present[]): void
  /** Nobody of this node is in the room any more. */
  close(room: string): void
  /** The node ends: its users stay for as long as a reload may take. Resolves when the others have been told. */
  stop(): Promise<void>
}
