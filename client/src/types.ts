import type { RoomcastError } from './errors.ts'

/** Rooms by pattern (`*` is any text), with what is said in them: `{ 'chat.*': { text: string } }`. */
export type Rooms = Record<string, unknown>
/** Calls by method: `{ 'orders.cancel': { params: { id: number }; result: boolean } }`. */
export type Calls = Record<string, { params?: unknown; result?: unknown }>

/** The names that a pattern fits. */
export type Names<Pattern> = Pattern extends `${infer Head}*${infer Rest}`
  ? `${Head}${string}${Names<Rest>}`
  : Pattern
/** The names of all rooms that there are. */
export type RoomName<All extends Rooms> = string & Names<keyof All>
type Fitting<All extends Rooms, Name> = {
  [Key in keyof All]: Name extends Names<Key> ? Key : never
}[keyof All]
/** A pattern that no other fitting one is narrower than. */
type Narrowest<Keys> = { [Key in Keys & string]: [Narrower<Keys, Key>] extends [never] ? Key : never }[Keys &
  string]
type Narrower<Keys, Key> = Keys extends Key ? never : Names<Keys> extends Names<Key> ? Keys : never
/** What is said in a room. */
export type ContentOf<All extends Rooms, Name> = All[Narrowest<Fitting<All, Name>> & keyof All]

/** What somebody said. */
export interface Message<Content = unknown> {
  content: Content
  /** Who said it; `app` for the app that embeds the server, or a back end. */
  from: { client: string; user: string; app?: true }
  /** In ms since 1970, by the server's clock. */
  at: number
  /** Its place in the room's history, where it has one. */
  offset?: number
  traceparent?: string
}
/** How far a publish went: `node` is this node's members only, because Redis is away. */
export interface Ack {
  scope: 'cluster' | 'node'
  offset?: number
  /** A try of before had arrived. */
  duplicate?: true
}
/** A user in a room. */
export interface User {
  user: string
  /** Public data of the user, from its token. */
  info?: unknown
  /** How many clients it had in the room when it was listed. */
  clients?: number
}

/** Where the hub stands. Milliseconds; `why` is in words. */
export type State =
  | { name: 'connecting' }
  | { name: 'open'; client: string; user: string; node: string; transport: 'websocket' | 'stream' }
  | { name: 'waiting'; retryInMs: number; why: string }
  | { name: 'closed'; why: string; code?: number | undefined }

export interface HubOptions {
  /** A token, or what gives one: asked at each connect, and before the old one expires. */
  token: string | (() => string | Promise<string>)
  /** What waits while there is no connection, at most. Defaults: 1,000 messages, 1 MiB, 60 s. */
  queue?: { messages?: number; bytes?: number; ageMs?: number }
  /** Milliseconds for the token's provider, a handshake, a call, and `history`. Default 10,000. */
  timeoutMs?: number
  /** Whether rooms show what this hub itself has said. Default true. */
  echo?: boolean
  /** A WebSocket class, where the platform has none (Node 20: `ws`). */
  WebSocket?: new (
    url: string,
  ) => WebSocket
}

export interface RoomOptions {
  /** The newest messages that are wanted at first. */
  last?: number
  /** Whether `users` and `count` are to be kept. */
  presence?: boolean
  /** Called when messages may be missing for good: load anew what the page shows. */
  reload?: () => void
}

export interface RoomEvents<Content> {
  message: Message<Content>
  /** The room is joined, at first and after each return; `recovered` says whether nothing is missing. */
  joined: { recovered: boolean; missed: number; scope: 'cluster' | 'node' }
  /** Who is here has changed. */
  presence: { count: number; users: readonly User[] | undefined }
  /** The server does not let us in, or has put us out. */
  left: RoomcastError
}

/** A room that the hub is in, and comes back to by itself. */
export interface Room<Content = unknown> extends AsyncIterable<Message<Content>> {
  readonly name: string
  /** Whether its messages come. */
  readonly isJoined: boolean
  /** Users who are here; undefined without `presence`, and where they are too many for a list. */
  readonly users: readonly User[] | undefined
  /** How many users are here; undefined without `presence`. */
  readonly count: number | undefined
  /** Resolves when the server has taken it. Waits while there is no connection; with `keep: false` only for a join under way. */
  publish(content: Content, options?: { keep?: boolean }): Promise<Ack>
  /** The newest messages, up to `limit`. Asked for now, or rejected with `offline`. */
  history(options?: { limit?: number }): Promise<Message<Content>[]>
  /** Returns what takes the listener off. */
  on<Name extends keyof RoomEvents<Content>>(
    name: Name,
    listener: (event: RoomEvents<Content>[Name]) => void,
  ): () => void
  leave(): void
}

export interface HubEvents {
  state: State
  /** To everybody, or to this user, without a room. */
  message: Message
  /** What goes wrong beside any request: a token's provider that failed, a token that was refused, a frame that is none of the protocol. */
  error: Error
}

/** A connection to roomcast that comes back by itself until `close`. */
export interface Hub<All extends Rooms = Rooms, Methods extends Calls = Calls> {
  readonly state: State
  /** Joins; asking for the same room again gives the same one. */
  room<Name extends RoomName<All>>(name: Name, options?: RoomOptions): Room<ContentOf<All, Name>>
  /** Asks the host's code. It is sent once: when the connection is lost meanwhile, it is rejected as `lost`. */
  call<Method extends keyof Methods & string>(
    method: Method,
    params?: Methods[Method]['params'],
  ): Promise<Methods[Method]['result']>
  on<Name extends keyof HubEvents>(name: Name, listener: (event: HubEvents[Name]) => void): () => void
  /** For good. What waits is rejected. */
  close(): void
}
