// The figures of docs/OPERATIONS.md, Sizing: one server, clients of this process, memory and CPU as the kernel tells them.
import { connect } from '../test/support/client.ts'
import { startRedis } from '../test/support/redis.ts'
import { type Server, startServer } from '../test/support/server.ts'
import { pace } from '../test/support/until.ts'

const ENV = { MESSAGE_RATE: '0', CONNECT_RATE_MAX: '0' }
/** Garbage of the connects and joins is collected meanwhile. */
const SETTLE_MS = 3_000

function print(what: string, value: number, unit: string): void {
  process.stdout.write(`${what.padEnd(44)} ${value.toPrecision(3)} ${unit}\n`)
}

/** Runs `use` with a server of its own. */
async function withServer(use: (server: Server) => Promise<void>, env: Record<string, string> = {}) {
  const server = await startServer({ ...ENV, ...env })
  try {
    await use(server)
  } finally {
    await server.stop('SIGKILL')
  }
}

async function crowd(server: Server, count: number, name = 'u') {
  const clients = []
  for (let at = 0; at < count; at += 50) {
    const some = Array.from({ length: Math.min(50, count - at) }, (_, n) =>
      connect(server, `${name}${at + n}`, {}, { record: false }),
    )
    clients.push(...(await Promise.all(some)))
  }
  return clients
}

/** Bytes and descriptors that `grow` adds, once what it left behind is collected. */
async function growth(server: Server, grow: () => Promise<unknown>) {
  const before = { bytes: server.rss(), fds: server.fds() }
  await grow()
  await pace(SETTLE_MS)
  return { bytes: server.rss() - before.bytes, fds: server.fds() - before.fds }
}

await withServer(async (server) => {
  print('start: memory', server.rss() / 2 ** 20, 'MiB')
  print('start: descriptors', server.fds(), '')
  // The first ones make the heap grow for all.
  await crowd(server, 1_000, 'first')
  const { bytes, fds } = await growth(server, () => crowd(server, 4_000))
  print('an idle client: memory', bytes / 4_000 / 1024, 'KiB')
  print('an idle client: descriptors', fds / 4_000, '')
})

for (const [what, roomOf] of [
  ['a room with one member: memory', (client: number, n: number) => `r${client}-${n}`],
  ['a membership of a room that is there: memory', (_client: number, n: number) => `r${n}`],
] as const)
  await withServer(async (server) => {
    const clients = await crowd(server, 201)
    const join = (client: number) => {
      for (let n = 0; n < 500; n++) clients[client]?.send({ type: 'join', room: roomOf(client, n) })
      return clients[client]?.socket.until('all joined', () => (clients[client]?.count ?? 0) > 500, 30_000)
    }
    await join(0)
    const { bytes } = await growth(server, async () => {
      for (let client = 1; client <= 200; client++) await join(client)
    })
    print(what, bytes / 100_000, 'bytes')
  })

/** CPU of the server a message, in µs, with `members` who get each. */
async function cpuOfMessages(members: number, messages: number): Promise<number> {
  let microseconds = 0
  await withServer(async (server) => {
    const clients = await crowd(server, members + 1)
    const [publisher, ...others] = clients
    for (const client of clients) client.send({ type: 'join', room: 'r' })
    const all = (count: number) =>
      Promise.all(
        others.map((client) => client.socket.until('messages', () => client.count >= 2 + count, 60_000)),
      )
    await all(0)
    const content = 'x'.repeat(100)
    const before = server.cpuS()
    let sent = 0
    while (sent < messages) {
      for (let n = 0; n < 8; n++) publisher?.say('r', content)
      sent += 8
      if (members > 0) await all(sent)
      else if (sent % 64 === 0) await pace(1)
    }
    publisher?.send({ type: 'ping', id: 'end' })
    await publisher?.socket.until('pong', () => (publisher?.count ?? 0) >= 3, 60_000)
    microseconds = ((server.cpuS() - before) * 1e6) / sent
  })
  return microseconds
}

const inOnly = await cpuOfMessages(0, 40_000)
print('a message in, to nobody: CPU', inOnly, 'µs')
print('a message out, to each of 200 members: CPU', ((await cpuOfMessages(200, 1_600)) - inOnly) / 200, 'µs')

const redis = await startRedis()
await withServer(
  async (server) => {
    const client = await connect(server, 'p')
    const used = async () =>
      Number(/used_memory:(\d+)/.exec(String(await redis.command('INFO', 'memory')))?.[1])
    /** Bytes of Redis that `count` rooms with `messages` of 100 bytes take. */
    const fill = async (name: string, count: number, messages: number) => {
      const before = await used()
      for (let room = 0; room < count; room++) {
        await client.join(`${name}${room}`)
        for (let n = 0; n < messages; n++) client.say(`${name}${room}`, 'x'.repeat(100))
        await client.publish(`${name}${room}`, 'x'.repeat(100))
        await client.leave(`${name}${room}`)
      }
      await pace(SETTLE_MS)
      return ((await used()) - before) / count
    }
    await fill('warm', 100, 0)
    const one = await fill('one', 500, 0)
    print('Redis: a room with one message of 100 bytes', one, 'bytes')
    print('Redis: each message more', ((await fill('many', 50, 90)) - one) / 90, 'bytes')
  },
  { REDIS_URL: redis.url, MAX_ROOMS_PER_CLIENT: '10000' },
)
await redis.stop()
process.exit(0)
