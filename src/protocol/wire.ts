// For those who write clients in TypeScript: what goes over the wire, as docs/PROTOCOL.md has it. No code of the server.
import type {
  CallRequest,
  Expiry,
  From,
  HistoryRequest,
  JoinRequest,
  LeaveRequest,
  MessageRequest,
  Outbound,
  PingRequest,
  Position,
  PresenceRequest,
  RefreshRequest,
  RequestId,
} from './envelope.ts'

export type { CloseName, ErrorCode, RefusalCode } from './codes.ts'
export { closeCodes, errorCodes, refusals } from './codes.ts'
export type {
  Ack,
  Closing,
  Dropped,
  ErrorEnvelope,
  HistoryRequest,
  Joined,
  JoinRequest,
  LeaveRequest,
  Left,
  LeftReason,
  PingRequest,
  Pong,
  Position,
  PresenceRequest,
  Refreshed,
  RefreshRequest,
  RequestId,
  Reset,
  Scope,
} from './envelope.ts'
export type { From }

/** What a client publishes: `content` is any value that has a JSON form. */
export type Publish = Omit<MessageRequest, 'content'> & { content: unknown }
/** What a client asks the host's code: `params` is any value that has a JSON form. */
export type Call = Omit<CallRequest, 'params'> & { params?: unknown }
/** Every envelope that a client may send. */
export type FromClient =
  | JoinRequest
  | LeaveRequest
  | Publish
  | HistoryRequest
  | PingRequest
  | PresenceRequest
  | RefreshRequest
  | Call

/** The first envelope of a connection. */
export interface Welcome extends Expiry {
  type: 'welcome'
  client: string
  user: string
  node: string
  /** Those that the token names; a `joined` of each follows, in this order. */
  rooms?: string[]
  pingIntervalMs: number
  maxMessageBytes: number
}

/** Somebody published. */
export interface Message {
  type: 'message'
  /** Absent in a broadcast. */
  room?: string
  content: unknown
  from: From
  /** In ms since 1970. */
  at: number
  /** The publish's place in a trace (W3C Trace Context), where the room's rule says so. */
  traceparent?: string
  /** Absent where no history is kept, and where earlier messages may still come. */
  offset?: number
}

/** The answer to a `history` request. */
export interface History extends Position {
  type: 'history'
  id?: RequestId
  room: string
  messages: Message[]
}

/** The answer to a call. */
export interface Result {
  type: 'result'
  id: RequestId
  result: unknown
}

/** A user that is in a room. */
export interface RoomUser {
  user: string
  /** Public data of the user, from its token. */
  info?: unknown
}
/** Who is in a room, on all nodes: the answer to `presence`, and what follows a `joined` that asked for it. */
export interface Presence {
  type: 'presence'
  id?: RequestId
  room: string
  /** Users. */
  count: number
  /** Absent where the rule lists none. */
  users?: (RoomUser & { clients: number })[]
  /** There are more than are listed. */
  more?: true
}
/** What has changed since the last one; with neither `entered` nor `left` there are too many for a list. */
export interface Member {
  type: 'member'
  room: string
  count: number
  entered?: RoomUser[]
  left?: string[]
}

/** Every envelope that a server sends. Later servers may send more types: ignore what you do not know. */
export type ToClient = Welcome | Message | History | Presence | Member | Result | Outbound
