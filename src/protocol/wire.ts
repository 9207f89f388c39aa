// For those who write clients in TypeScript: what goes over the wire, as docs/PROTOCOL.md has it. No code of the server.
import type { From } from './codec.ts'
import type {
  CallRequest,
  HistoryRequest,
  JoinRequest,
  LeaveRequest,
  MessageRequest,
  Outbound,
  PingRequest,
  Position,
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
  PingRequest,
  Pong,
  Position,
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
export type FromClient = JoinRequest | LeaveRequest | Publish | HistoryRequest | PingRequest | Call

/** The first envelope of a connection. */
export interface Welcome {
  type: 'welcome'
  client: string
  user: string
  node: string
  /** When 4401 will come, in ms since 1970; absent if never. */
  expiresAt?: number
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

/** Every envelope that a server sends. Later servers may send more types: ignore what you do not know. */
export type ToClient = Welcome | Message | History | Result | Outbound
