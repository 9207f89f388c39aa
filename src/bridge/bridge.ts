import type { Distribution } from '../distribution.ts'
import type { Position, Scope } from '../protocol/envelope.ts'

/** A message on its way to a room, or to everybody when `room` is undefined. */
export interface Publication {
  room: string | undefined
  /** The outgoing envelope's text without its end (`messageHead`); the bridge gives the offset. */
  head: string
  /** The client that must not get it: the sender, unless it asked for an echo. */
  exclude: string | undefined
  /** Makes the publish idempotent: the same user's same key in the same room is published once in 5 minutes. */
  once: { user: string; key: string } | undefined
  /** What the room keeps. Undefined: the message is not kept, and has no offset; so it is with a broadcast. */
  history: HistoryLimits | undefined
}

/** How far a publication went. */
export interface Published {
  scope: Scope
  /** The message's place in the room's history, where the room keeps one. */
  offset?: number
  /** A repeat of an earlier publish: `offset` is that one's, and nothing was delivered. */
  duplicate?: true
}

/** A message that the bridge hands to the hub of every node that has members in its room. */
export interface Delivery {
  /** The finished outgoing text, or its UTF-8 bytes. */
  text: string | Buffer
  exclude: string | undefined
  /** Where the room keeps history: the message's place in it. */
  position: Position | undefined
  /**
   * Whether earlier messages may still come: the bridge could not wait for its turn. The text then has no offset. When
   * the same message comes again in its place, those who have had it are passed over; the hub sees to that.
   */
  isEarly?: boolean
  /** The name of an idempotent publish; a repeat has the same. */
  mark?: string | undefined
}

/** Part of a room's history. */
export interface Replay {
  /** Where the room's history ends; undefined where no history is kept or the bridge is unreachable. */
  position: Position | undefined
  /** Whether `messages` are all that came after `since`, up to `position`. */
  isComplete: boolean
  /** The messages' outgoing texts, in order; the last one is at `position`, unless a limit cut them. */
  messages: (string | Buffer)[]
}
/** Nothing is known of a room's history. */
export const noReplay: Replay = { position: undefined, isComplete: false, messages: [] }

/** What is asked of a room's history. */
export interface ReplayRequest {
  /** The last position that the asker has seen; without it the newest messages are meant. */
  since: Position | undefined
  /** At most so many messages: the oldest of those after `since`, or else the newest. */
  limit: number
  /** What the room keeps. */
  history: HistoryLimits
}

/** What `/health` says of the bridge. */
export interface BridgeStatus {
  kind: 'memory' | 'redis'
  state: 'up' | 'down'
  /** Each connection of its own, and why it is down, in our words. */
  publisher?: LinkStatus
  subscriber?: LinkStatus
  /** Of a Cluster, each of its masters, by the slots that it has. */
  masters?: MasterStatus[]
}
export interface MasterStatus {
  /** As `0-5460,9000`. */
  slots: string
  publisher: LinkStatus
  subscriber: LinkStatus
}
export interface LinkStatus {
  state: 'up' | 'down'
  reason?: string
}

/** How the way to the other nodes has done. */
export interface BridgeFigures {
  /** Milliseconds from this node's heartbeat until it is heard back, as a message would be. */
  readonly lag: Distribution
  /** Milliseconds from handing a publish to a server until it is back for this node's members. */
  readonly delivery: Distribution
  /** Times that a server did not answer. */
  stalls: number
}

/** All nodes that this one knows of, itself included. */
export interface ClusterStatus {
  nodes: number
  clients: number
  /** Nodes on this Redis whose version neither understands this one's messages nor is understood. */
  foreignNodes?: number
}

/**
 * What came of reading a room's history for its members. `whole`: they have all that there is. `gap`: the history does not
 * have it all, and never will. `unread`: it could not be read.
 */
export type Filled = 'whole' | 'gap' | 'unread'

/** Hears what other nodes tell this one. */
export interface TellListener {
  /** `from` is the node that says it. Must not throw. */
  hear(from: string, text: string): void
  /** What was told may have passed this node by: at the start, and after each outage. Must not throw. */
  missed(): void
}
/** What nodes tell each other at once, in bytes of UTF-8. */
export const TELL_MAX_BYTES = 64 * 1024

/**
 * Something that all nodes must know until a time (ms since 1970), those that start later included. Of two with one name
 * the larger value holds, and the later end.
 */
export interface Note {
  name: string
  value: number
  untilMs: number
}
/** Notes that the nodes keep together; more are refused. */
export const NOTES = 100_000
/** What became of notes: kept for all nodes, or not, because there are too many or the bridge is unreachable. */
export type Kept = 'kept' | 'full' | 'unreachable'
/** Notes that this node has not read yet. */
export interface NotesRead {
  notes: Note[]
  /** Whether what was kept before may be lost: all that there are follow, and what is not among them is to be kept again. */
  isAnew: boolean
  hasMore: boolean
}

/** What the bridge asks of its hub. */
export interface BridgeHost {
  /** Random, one a process. */
  readonly node: string
  /** How many memberships have begun, connects included: whoever begins later has not had what is delivered now. */
  readonly joins: number
  /** Messages of one room, or to everybody when `room` is undefined, in their order. Must not throw. */
  deliver(room: string | undefined, deliveries: readonly Delivery[]): void
  /**
   * What was given to be delivered early, under this mark, comes again with another head: members whose membership began
   * when there were no more than `joinsThen` have had it. False when it still waits here; it is then taken back, and
   * everybody gets the new one.
   */
  remember(room: string | undefined, head: string, joinsThen: number, mark: string): boolean
  /**
   * Something may not have come: reads the room's history and gives this node's members what they lack. `whole` also
   * where nobody here is in the room. Never rejects.
   */
  catchUp(room: string): Promise<Filled>
  /** Calls `then` within milliseconds, when more may have come together that is to be published. */
  onceRested(then: () => void): void
  /** This node's clients, told to the other nodes. */
  countClients(): number
  readonly tells: TellListener
}

/**
 * The port that carries messages between nodes and keeps the rooms' history. Deliveries of one room come in one order
 * on every node, the publishing one included; the hub fills gaps from the history. Implementations: memory-bridge.ts, redis-bridge.ts; contract: test/bridge.
 */
export interface Bridge {
  /** Must be called once, before anything else. Does not wait for a connection. */
  start(host: BridgeHost): void
  /** Resolves when the bridge reaches the other nodes, or after `ms`. Never rejects. */
  whenUp(ms: number): Promise<void>
  /** Resolves when the bridge has taken the message; calls of one caller keep their order. Never rejects. */
  publish(publication: Publication): Published | Promise<Published>
  /**
   * Resolves once messages published on any node from then on will be delivered here: 'cluster'. It is 'node' when the
   * bridge is unreachable; then the bridge subscribes by itself as soon as it can. Never rejects.
   */
  subscribe(room: string): Scope | Promise<Scope>
  /** The last member on this node has left. */
  unsubscribe(room: string): void
  /** Reads a room's history. Never rejects. */
  replay(room: string, request: ReplayRequest): Replay | Promise<Replay>
  /**
   * Tells all other nodes, or the one named, up to TELL_MAX_BYTES. What is told arrives in its order, or not at all.
   * 'cluster' when it has gone to all who listen, 'node' when to nobody. Never rejects.
   */
  tell(text: string, to?: string): Scope | Promise<Scope>
  /** The other nodes that this one knows of and that understand it. */
  others(): string[]
  /** Keeps notes for all nodes, 100 at most in one call. Nobody is told. Never rejects. */
  keep(notes: readonly Note[]): Kept | Promise<Kept>
  /** The next notes that other nodes have had kept; undefined when that cannot be read now. Never rejects. */
  readNotes(): Promise<NotesRead | undefined>
  /** Undefined where there are no other nodes. */
  readonly figures?: BridgeFigures
  status(): BridgeStatus
  cluster(): ClusterStatus | undefined
  close(): Promise<void>
}

/** How much history a room keeps, for how long after its last message; a size of 0 keeps none. */
export interface HistoryLimits {
  readonly size: number
  readonly ttlMs: number
  readonly maxBytes: number
}

/** A room's position outlives its last message by this much, so that an idle room is not taken for a lost one. */
export const POSITION_EXTRA_TTL_MS = 60 * 60 * 1000
/** How long a key of an idempotent publish is remembered. */
export const KEY_TTL_MS = 5 * 60 * 1000
/** Keys that a node remembers by itself, and what they take of memory; beyond that the oldest are forgotten. */
export const LOCAL_KEYS = 100_000
export const LOCAL_KEYS_BYTES = 64 * 1024 * 1024
