import { type Command, Option } from 'commander'
import WebSocket from 'ws'
import { signed, toUser } from './commands/token.ts'
import { LOCAL } from './node-api.ts'
import { address, duration } from './values.ts'

/** What of roomcast-client's interface is used here; its own types need a browser's. */
export interface LiveHub {
  readonly state: LiveState
  room(name: string, options?: { last?: number; presence?: boolean }): LiveRoom
  on(event: 'state', listener: (state: LiveState) => void): () => void
  on(event: 'message', listener: (message: LiveMessage) => void): () => void
  on(event: 'error', listener: (error: Error) => void): () => void
  close(): void
}

export type LiveState =
  | { name: 'connecting' }
  | { name: 'open'; client: string; user: string; node: string }
  | { name: 'waiting'; retryInMs: number; why: string }
  | { name: 'closed'; why: string; code?: number }

export interface LiveRoom {
  publish(
    content: unknown,
    options?: { keep?: boolean },
  ): Promise<{ scope: 'cluster' | 'node'; offset?: number }>
  on(event: 'message', listener: (message: LiveMessage) => void): () => void
  on(event: 'joined', listener: (joined: { recovered: boolean; missed: number }) => void): () => void
  on(event: 'presence', listener: (presence: { count: number }) => void): () => void
  on(event: 'left', listener: (error: Error) => void): () => void
}

export interface LiveMessage {
  content: unknown
  from: { client: string; user: string; app?: true }
  at: number
  offset?: number
}

export interface LiveFlags {
  url: string
  token?: string
  user: string
  ttl: number
}

/** Where the build puts the client: beside the built commands, or from the sources. */
const places = ['../client/client.js', '../dist/client/client.js']

/** Adds what every command that connects has: --url, --token and --user. */
export function addLiveFlags(command: Command): Command {
  return command
    .addOption(
      new Option('--url <address>', 'where a node is').env('ROOMCAST_URL').default(LOCAL).argParser(address),
    )
    .addOption(
      new Option('--token <token>', 'a token; else one is signed as `roomcast token` does').env(
        'ROOMCAST_TOKEN',
      ),
    )
    .option('--user <name>', 'whose token is signed', toUser, 'dev')
    .addOption(new Option('--ttl <time>', 'how long it holds').argParser(duration).default(3600).hideHelp())
}

/** Connects with roomcast-client, which comes back by itself and recovers what was missed. */
export async function connectHub({ url, token, user, ttl }: LiveFlags): Promise<LiveHub> {
  // Signed before anything connects: a wrong setting is told at once.
  const first = token ?? signed(user, { seconds: ttl })
  const { connect } = await loadClient()
  return connect(`${url.replace('http', 'ws')}/ws`, {
    token: token === undefined ? () => signed(user, { seconds: ttl }) : first,
    WebSocket,
    // What cannot be sent now is told of at the prompt, and not kept for long.
    queue: { ageMs: 120_000 },
  })
}

async function loadClient(): Promise<{ connect(url: string, options: object): LiveHub }> {
  const [built = '', fromSources = ''] = places.map((place) => new URL(place, import.meta.url).href)
  try {
    return await import(built)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error
    return import(fromSources)
  }
}
