// Who is measured, and how each is started.
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { type Launched, launch } from './launch.ts'
import type { Speech } from './load.ts'
import { SECRET } from './tokens.ts'

export const serverNames = [
  'roomcast',
  'roomcast-2',
  'roomcast-presence',
  'ws-loop',
  'socket-io',
  'bun',
  'gorilla',
  'gorilla-frames',
] as const
export type ServerName = (typeof serverNames)[number]

export interface Running {
  /** Clients are spread over the ports; CPU and memory are those of the pids together. */
  ports: number[]
  pids: number[]
  /** What runs beside the servers: its CPU is told apart. */
  helpers: Record<string, number>
  stop(): Promise<void>
}

export interface Server {
  label: string
  speech: Speech
  /** Its settings, for the report. */
  settings: string
  start(): Promise<Running>
  version(): string
}

const CONTENT = '{"s":%SEQ%,"t":%T%,"p":"%PAD%"}'

const plain: Speech = {
  path: '/ws?token=%TOKEN%',
  join: '{"type":"join","room":"r%ROOM%"}',
  joined: '"type":"joined"',
  message: `{"type":"message","room":"r%ROOM%","content":${CONTENT}}`,
}

const presenceEverywhere = '[{"match":"*","presence":true}]'

const socketIo: Speech = {
  path: '/socket.io/?EIO=4&transport=websocket',
  hello: '40{"token":"%TOKEN%"}',
  ready: '40',
  join: '42["join","r%ROOM%"]',
  joined: '42["joined"',
  message: `42["message",{"room":"r%ROOM%","content":${CONTENT}}]`,
  ping: '2',
  pong: '3',
}

const here = (path: string) => new URL(path, import.meta.url).pathname
/** Where prepare.ts puts what it builds; below bench/, so that the peers find their packages. */
export const BUILD = here('build/')
export const GORILLA = `${BUILD}gorilla`
const DIST = here('../dist/src/server.js')

const secret = { JWT_SECRET: SECRET }
const roomcastEnv = { ...secret, PORT: '0', MESSAGE_RATE: '0', CONNECT_RATE_MAX: '1000000' }

function together(servers: Launched[], helpers: Record<string, Launched> = {}): Running {
  return {
    ports: servers.map(({ port }) => port),
    pids: servers.map(({ pid }) => pid),
    helpers: Object.fromEntries(Object.entries(helpers).map(([name, { pid }]) => [name, pid])),
    stop: async () => {
      for (const process of [...servers, ...Object.values(helpers)]) await process.stop()
    },
  }
}

async function startAlone(command: string[], env: Record<string, string>): Promise<Running> {
  return together([await launch(command, { env })])
}

async function startTwoNodes(): Promise<Running> {
  const port = await freePort()
  const fixed = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no']
  const redis = await launch(['redis-server', ...fixed], { ready: /Ready to accept/, port })
  const nodes: Launched[] = []
  try {
    const env = { ...roomcastEnv, REDIS_URL: `redis://127.0.0.1:${port}` }
    for (let n = 0; n < 2; n++) nodes.push(await launch([process.execPath, DIST], { env }))
    return together(nodes, { redis })
  } catch (error) {
    await together(nodes, { redis }).stop()
    throw error
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number }
      server.close(() => resolve(port))
    })
  })
}

function packageVersion(path: string): string {
  return (JSON.parse(readFileSync(here(path), 'utf8')) as { version: string }).version
}

function output(command: string, ...args: string[]): string {
  return spawnSync(command, args, { encoding: 'utf8' }).stdout?.trim() ?? ''
}

const bunProgram = () =>
  here(`node_modules/@oven/bun-linux-${process.arch === 'arm64' ? 'aarch64' : 'x64'}/bin/bun`)
const nodeVersion = () => `node ${process.versions.node}`
const roomcastVersion = () => `roomcast ${packageVersion('../package.json')}, ${nodeVersion()}`

function gorillaVersion(): string {
  const library = /Version: (.*)/.exec(output('dpkg-query', '-s', 'golang-github-gorilla-websocket-dev'))?.[1]
  return `gorilla/websocket ${library}, ${output('go', 'version').replace('go version ', '')}`
}

export const servers: Record<ServerName, Server> = {
  roomcast: {
    label: 'roomcast',
    speech: plain,
    settings:
      'Defaults, but `MESSAGE_RATE=0` and `CONNECT_RATE_MAX=1000000`: one publisher sends far more than a client may, and all connects come from one address. Every upgrade is still counted. Bridge in memory, history of 100 messages a room, JWT verified by @fastify/jwt.',
    start: () => startAlone([process.execPath, DIST], roomcastEnv),
    version: roomcastVersion,
  },
  'roomcast-2': {
    label: 'roomcast, two nodes',
    speech: plain,
    settings:
      'As above, with `REDIS_URL`: two nodes and a redis-server without persistence, all three on the servers’ core. CPU is that of both nodes; Redis’ own is told apart.',
    start: startTwoNodes,
    version: () => `${roomcastVersion()}, ${output('redis-server', '--version').split(' sha=')[0]}`,
  },
  'roomcast-presence': {
    label: 'roomcast, with presence',
    speech: { ...plain, join: '{"type":"join","room":"r%ROOM%","presence":true}' },
    settings: 'As roomcast, with presence in all rooms (its defaults), which every member asks for.',
    start: () => startAlone([process.execPath, DIST], { ...roomcastEnv, ROOM_RULES: presenceEverywhere }),
    version: roomcastVersion,
  },
  'ws-loop': {
    label: 'ws, plain loop',
    speech: plain,
    settings:
      '`perMessageDeflate: false`; one `JSON.stringify` a message, `send(string)` to each member; bufferutil installed.',
    start: () => startAlone([process.execPath, `${BUILD}peers/ws-loop.js`], secret),
    version: () => `ws ${packageVersion('node_modules/ws/package.json')}, ${nodeVersion()}`,
  },
  'socket-io': {
    label: 'Socket.IO',
    speech: socketIo,
    settings:
      '`transports: ["websocket"]`, no compression, `serveClient: false`, bufferutil installed, and the first request not kept (its pages on performance and memory). Token in the auth payload of CONNECT, checked in `io.use`.',
    start: () => startAlone([process.execPath, `${BUILD}peers/socket-io.js`], secret),
    version: () => `socket.io ${packageVersion('node_modules/socket.io/package.json')}, ${nodeVersion()}`,
  },
  bun: {
    label: 'Bun',
    speech: plain,
    settings:
      '`Bun.serve` with its own topics (`subscribe`, `publish`), `perMessageDeflate: false`, else defaults.',
    start: () => startAlone([bunProgram(), `${BUILD}peers/bun.js`], secret),
    version: () => `bun ${packageVersion('node_modules/bun/package.json')}`,
  },
  gorilla: {
    label: 'gorilla (Go tutorial)',
    speech: plain,
    settings:
      'The chat tutorial’s hub: one hub goroutine, read and write pump, a send channel of 256, queued messages joined by newlines in one frame, buffers of 1,024 bytes, ping every 54 s; the read limit raised from 512 bytes to 1 MiB.',
    start: () => startAlone([GORILLA], secret),
    version: gorillaVersion,
  },
  'gorilla-frames': {
    label: 'gorilla, a frame a message',
    speech: plain,
    settings: 'As above, but each message in a frame of its own, as all the other servers send it.',
    start: () => startAlone([GORILLA], { ...secret, FRAMES_APART: '1' }),
    version: gorillaVersion,
  },
}
