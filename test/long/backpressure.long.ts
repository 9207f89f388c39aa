// B23, B24 and B26 with the numbers of the cases.
import t, { type Test } from 'tap'
import { type Client, connect } from '../support/client.ts'
import { connectCrowd } from '../support/crowd.ts'
import { textFrame } from '../support/frames.ts'
import { Inspector, inspected } from '../support/inspector.ts'
import { Network } from '../support/network.ts'
import { startServer } from '../support/server.ts'
import { slowRoom } from '../support/slow-room.ts'
import { clientsAre } from '../support/still-serving.ts'
import { pace } from '../support/until.ts'

const KB = 1024
const MB = 1024 * KB

for (const [name, policy, broadcast] of [
  ['drop', 'drop', false],
  ['disconnect', 'disconnect', false],
  ['disconnect, as broadcast', 'disconnect', true],
] as const) {
  t.test(`B23 for 60 s (${name})`, (t) =>
    slowRoom(t, { policy, broadcast, healthy: 197, messages: 3_000, everyMs: 20, fill: 0, withinMs: 250 }),
  )
}

for (const [name, policy, count, bytes, perSecond] of [
  ['500 of 500 KB, drop', 'drop', 500, 500 * KB, 20],
  ['500 of 500 KB, disconnect', 'disconnect', 500, 500 * KB, 20],
  ['50,000 of 40 bytes, drop', 'drop', 50_000, 40, 20_000],
] as const) {
  t.test(`B24 a hundred that never read (${name})`, async (t) => {
    const limit = KB
    const server = await startServer({
      SLOW_CLIENT: policy,
      OUTBOX_MAX_BYTES: String(limit),
      MESSAGE_RATE: '0',
      CONNECT_RATE_MAX: '0',
      // What the room keeps for those who come back is kept on purpose.
      HISTORY_SIZE: '0',
      ...inspected,
    })
    t.teardown(() => server.stop())
    const inspector = await Inspector.open(server)
    t.teardown(() => inspector.close())
    const inUse = async () => {
      const { heapUsed, external } = await inspector.memory()
      return heapUsed + external
    }
    const a = await connect(server, 'a')
    await a.join('r')
    const before = await inUse()
    const stalled = await connectCrowd(server, 100, ['r'])
    for (const { socket } of stalled) socket.pause()
    const rssBefore = server.rss()
    let most = rssBefore
    const timer = setInterval(() => {
      most = Math.max(most, server.rss())
    }, 100)
    t.teardown(() => clearInterval(timer))
    const frame = textFrame(`{"type":"message","room":"r","content":"${'x'.repeat(bytes)}"}`)
    const atOnce = Math.max(1, Math.floor(perSecond / 100))
    const startMs = performance.now()
    for (let sent = 0; sent < count; sent += atOnce) {
      await pace(Math.max(0, startMs + (sent / perSecond) * 1_000 - performance.now()))
      await a.socket.flush(Buffer.concat(Array(atOnce).fill(frame)))
    }
    await a.fence(20_000)
    clearInterval(timer)
    const bound = 100 * (limit + bytes) + 64 * MB
    t.ok(
      most - rssBefore <= bound,
      `RSS grew by ${Math.round((most - rssBefore) / MB)} MB of ${Math.round(bound / MB)}`,
    )
    for (const { socket } of stalled) socket.reset()
    await clientsAre(server, 1, { rooms: 1, deadlineMs: 5_000 })
    const after = await inUse()
    t.ok(
      after < before * 1.2 + 2 * MB,
      `in use: ${Math.round(before / MB)} MB before, ${Math.round(after / MB)} after`,
    )
    t.comment(
      `RSS ${Math.round(rssBefore / MB)} MB before, ${Math.round(most / MB)} at most, ${Math.round(server.rss() / MB)} after`,
    )
    await a.close()
  })
}

const skip = Network.isAllowed() ? false : 'needs root and iproute2 for a network namespace'

t.test('B26 64 kbit/s, 500 KB each way, a ping every 10 s', { skip }, async (t) => {
  const network = new Network()
  t.teardown(() => network.close())
  const server = await startServer(
    { HOST: '0.0.0.0', PING_INTERVAL_MS: '10000' },
    { prefix: network.prefix, host: network.cuttable },
  )
  t.teardown(() => server.stop())
  network.throttle('64kbit')
  const slow = await connect(server, 'slow')
  const good = await connect({ host: network.steady, port: server.port }, 'good')
  await slow.join('r')
  await good.join('r')
  await carry(t, good, slow, 'download')
  await carry(t, slow, good, 'upload')
  await slow.fence(30_000)
  t.equal(slow.socket.end, undefined)
  for (const client of [slow, good]) await client.close()
})

async function carry(t: Test, from: Client, to: Client, what: string): Promise<void> {
  const large = 'x'.repeat(500_000)
  const startMs = performance.now()
  from.say('r', large)
  t.equal((await to.next('message', 120_000)).content, large, `the ${what} is whole`)
  t.comment(`${what}: ${Math.round(performance.now() - startMs)} ms`)
}
