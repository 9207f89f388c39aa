// "Connects and disconnects of every kind leave descriptors, rooms, timers and heap where they were."
import type { Test } from 'tap'
import { type Client, connect } from './client.ts'
import { ask, inBatches } from './crowd.ts'
import { Inspector, inspected } from './inspector.ts'
import { RawSocket, upgradeRequest } from './raw-socket.ts'
import { type Server, startServer } from './server.ts'
import { clientsAre } from './still-serving.ts'
import { tcpCount } from './tcp-table.ts'
import { tokenFor } from './token.ts'
import { pollUntil } from './until.ts'

const MB = 1024 * 1024
/** Few, because the server remembers tokens that have verified, up to a number of them. */
const tokens = Array.from({ length: 100 }, (_, i) => tokenFor(`user-${i}`))
const tokenOf = (index: number) => tokens[index % tokens.length] as string

const kinds: ((server: Server, index: number) => Promise<void>)[] = [
  async (server, index) => (await member(server, index)).close(),
  async (server, index) => (await member(server, index)).socket.reset(),
  async (server, index) => {
    const { socket } = await member(server, index)
    socket.pong = false
    await socket.ended(20_000)
    socket.destroy()
  },
  async (server) => {
    const socket = await RawSocket.upgrade(server, '/ws?token=bad')
    await socket.ended()
    socket.destroy()
  },
  async (server, index) => {
    const socket = await RawSocket.open(server)
    await socket.flush(upgradeRequest(`/ws?token=${tokenOf(index)}`))
    socket.reset()
  },
]

/** Joins a room of its own, a common one, and says something. */
async function member(server: Server, index: number): Promise<Client> {
  const client = await connect(server, '', {}, { token: tokenOf(index), record: false, deadlineMs: 10_000 })
  await ask(client, { type: 'join', room: `room-${index}` }, 10_000)
  await ask(client, { type: 'join', room: 'common' }, 10_000)
  await ask(client, { type: 'message', room: `room-${index}`, content: index }, 10_000)
  return client
}

/** `total` of them, `atATime` at a time; what the server holds before and after is compared. */
export async function clientChurn(t: Test, total: number, atATime: number): Promise<void> {
  const server = await startServer({
    CONNECT_RATE_MAX: '0',
    MESSAGE_RATE: '0',
    // What rooms keep for those who come back is kept on purpose.
    HISTORY_SIZE: '0',
    PING_INTERVAL_MS: '700',
    PONG_TIMEOUT_MS: '1000',
    ...inspected,
  })
  t.teardown(() => server.stop())
  const inspector = await Inspector.open(server)
  t.teardown(() => inspector.close())
  const churn = async (count: number) => {
    const done = await inBatches(
      count,
      async (index) => kinds[index % kinds.length]?.(server, index),
      atATime,
    )
    return done.length
  }
  const settled = async () => {
    await clientsAre(server, 0, { rooms: 0, deadlineMs: 3_000 })
    await pollUntil('no connection is left', () => tcpCount(server.port, 'established') === 0)
    const { heapUsed, external } = await inspector.memory()
    return { fds: server.fds(), resources: await inspector.resources(), bytes: heapUsed + external }
  }

  // Once before: code that is compiled and caches that are filled are no leak.
  await churn(Math.min(total, 1_000))
  const before = await settled()
  const beganMs = performance.now()
  await churn(total)
  t.comment(`${total} in ${Math.round(performance.now() - beganMs)} ms`)
  const after = await settled()
  t.ok(after.fds <= before.fds + 2, `descriptors: ${before.fds} before, ${after.fds} after`)
  t.same(after.resources, before.resources, `timers and sockets: ${JSON.stringify(after.resources)}`)
  const growth = after.bytes - before.bytes
  const allowed = MB + total * 50
  t.ok(
    growth < allowed,
    `heap: ${(before.bytes / MB).toFixed(1)} MB before, ${(after.bytes / MB).toFixed(1)} after`,
  )
}
