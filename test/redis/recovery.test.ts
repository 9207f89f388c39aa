// Recovery as clients see it: one suite on the memory bridge and on Redis, and what Redis can lose besides.
import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { type Client, connect, type Envelope } from '../support/client.ts'
import { LossyRoom, type Step } from '../support/lossy-rooms.ts'
import { nodesAre, startNodes } from '../support/nodes.ts'
import { comingBackContract, recoveryContract } from '../support/recovery-contract.ts'
import { startRedis } from '../support/redis.ts'
import { type Server, startServer } from '../support/server.ts'
import { TcpRelay } from '../support/tcp-relay.ts'
import { startCluster } from '../support/test-cluster.ts'
import { pollUntil } from '../support/until.ts'

const redis = await startRedis()
t.teardown(() => redis.stop())
let clusters = 0

recoveryContract(t, 'memory', {
  start: async (t, env) => {
    const node = await startServer({ MESSAGE_RATE: '0', CONNECT_RATE_MAX: '0', ...env })
    t.teardown(() => node.stop())
    return [node]
  },
  // Rooms that nobody speaks in make way for one that is as large as all may be together.
  forget: async (nodes) => {
    const client = await nodes.connect('f')
    const room = randomUUID()
    await client.join(room)
    for (let n = 0; n < 5; n++) await client.publish(room, 'x'.repeat(250_000))
    await client.close()
  },
})
recoveryContract(t, 'two nodes on Redis', {
  start: (t, env) =>
    startNodes(t, 2, { REDIS_URL: redis.url, REDIS_PREFIX: `recovery-${clusters++}:`, ...env }),
  forget: () => redis.command('FLUSHALL'),
})

// The rest of it, which takes a minute, is in test/long.
const cluster = await startCluster(0)
t.teardown(() => cluster.stop())
comingBackContract(t, 'two nodes on a Redis Cluster', {
  start: (t, env) => startNodes(t, 2, { REDIS_URL: cluster.url, ...env }),
})

/** Two nodes on a Redis of their own, which the test may do anything to. */
async function lossyPair(t: Test, args: string[] = []) {
  const own = await startRedis(args)
  t.teardown(() => own.stop())
  const nodes = (await startNodes(t, 2, { REDIS_URL: own.url })) as [Server, Server]
  return { own, nodes, whole: () => Promise.all(nodes.map((node) => nodesAre(node, 2))) }
}

const numbers = (envelopes: Envelope[]) =>
  envelopes.filter(({ type }) => type === 'message').map(({ content }) => content)

t.test('what Redis has lost is never called recovered', async (t) => {
  const { own, nodes, whole } = await lossyPair(t)
  const [one, two] = nodes
  const restart = async () => {
    await own.kill()
    await own.start()
    await whole()
  }
  const probe = await connect(one, 'probe')
  await probe.join('probe')
  const faults: [name: string, fault: (room: string) => Promise<unknown>][] = [
    ['FLUSHALL', () => own.command('FLUSHALL')],
    [
      'FLUSHALL and SCRIPT FLUSH',
      async () => {
        await own.command('FLUSHALL')
        await own.command('SCRIPT', 'FLUSH')
        await pollUntil('the scripts are back', () => publishedToAll(probe, 'probe', 'x', randomUUID()))
      },
    ],
    ['kill -9 and a new start', restart],
    ['the position evicted', (room) => own.command('DEL', `roomcast:position:{${room}}`)],
    ['the messages evicted', (room) => own.command('DEL', `roomcast:messages:{${room}}`)],
  ]
  for (const [index, [name, fault]] of faults.entries()) {
    const room = `fault-${index}`
    const [a, b, c] = [await connect(one, 'a'), await connect(two, 'b'), await connect(two, 'c')]
    const { epoch } = await b.join(room)
    await c.join(room)
    await a.join(room)
    for (const n of [1, 2, 3]) await a.publish(room, n)
    t.same(numbers(await b.collectUntil(({ content }) => content === 3)), [1, 2, 3])
    b.socket.destroy()
    for (const n of [4, 5]) await a.publish(room, n)
    await c.next(({ content }) => content === 5)
    if (name.endsWith('evicted')) t.equal(await own.command('EXISTS', `roomcast:position:{${room}}`), 1)
    await fault(room)
    await whole()
    // By turns a message comes before the one that is back, and not.
    const isFirst = index % 2 === 0
    const ack = isFirst ? await pollUntil('a publish to all', () => publishedToAll(a, room, 6)) : undefined
    if (isFirst) t.same(numbers([await c.next('message')]), [6], 'a member that stayed goes on')
    const back = await connect(one, 'b')
    const joined = await back.request({ type: 'join', room, since: { epoch, offset: 3 } })
    t.match(joined, { recovered: false, missed: 0, epoch: String }, name)
    t.same(await back.fence(), [], 'and nothing follows')
    // Nor may the old epoch be taken for the new one at a later offset.
    for (const n of [7, 8, 9, 10, 11, 12])
      await pollUntil('a publish to all', () => publishedToAll(a, room, n))
    t.same(numbers(await back.collectUntil(({ content }) => content === 12)), [7, 8, 9, 10, 11, 12])
    const isSame = joined.epoch === epoch
    if (name !== 'the messages evicted') t.notOk(isSame, 'a new epoch')
    const again = await back.request({ type: 'join', room, since: { epoch, offset: 3 } })
    t.match(again, { recovered: false })
    const since = { epoch: joined.epoch, offset: joined.offset }
    t.match(
      await back.request({ type: 'join', room, since }),
      { recovered: true, missed: 6 },
      'from there on it is',
    )
    t.same(numbers(await back.fence()), [7, 8, 9, 10, 11, 12])
    t.ok(ack === undefined || Number(ack.offset) > 0)
    t.same(numbers(await c.collectUntil(({ content }) => content === 12)).slice(-6), [7, 8, 9, 10, 11, 12])
    await Promise.all([a, back, c].map((client) => client.close()))
  }
  await probe.close()
})

async function publishedToAll(
  client: Client,
  room: string,
  content: unknown,
  key = `${room} ${content}`,
): Promise<Envelope | undefined> {
  const ack = await client.publish(room, content, { key })
  return ack.scope === 'cluster' ? ack : undefined
}

t.test('a replica that is promoted without the last writes', async (t) => {
  const master = await startRedis(['--repl-diskless-sync-delay', '0'])
  const replica = await startRedis(['--replicaof', '127.0.0.1', String(master.port)])
  t.teardown(() => Promise.all([master.stop(), replica.stop()]))
  const isSynced = async () =>
    /master_link_status:up/.test(String(await replica.command('INFO', 'replication')))
  await pollUntil('the replica follows', isSynced)
  const relay = await TcpRelay.open(master.port)
  t.teardown(() => relay.close())
  const [one, two] = (await startNodes(t, 2, { REDIS_URL: relay.url })) as [Server, Server]
  const [a, b, c] = [await connect(one, 'a'), await connect(two, 'b'), await connect(one, 'c')]
  const { epoch } = await b.join('r')
  await a.join('r')
  await c.join('r')
  for (const n of [1, 2, 3]) await a.publish('r', n)
  await b.collectUntil(({ content }) => content === 3)
  b.socket.destroy()
  await pollUntil('the replica has them', async () => {
    return (await replica.command('LLEN', 'roomcast:messages:{r}')) === 3
  })
  // From here on it hears no more; what is acked now is lost with the master.
  await replica.command('REPLICAOF', 'NO', 'ONE')
  for (const n of [4, 5]) t.match(await a.publish('r', n), { scope: 'cluster', offset: n })
  await c.next(({ content }) => content === 5)
  // Two that join at the end of what will be lost and hear nothing more before it is; one where nobody else is.
  const d = await connect(two, 'd')
  t.match(await d.join('r'), { offset: 5 })
  const quiet = await connect(one, 'quiet')
  t.match(await quiet.join('r'), { offset: 5 })
  relay.target = replica.port
  await master.kill()
  relay.cut()
  await Promise.all([one, two].map((node) => nodesAre(node, 2)))

  for (const n of [6, 7, 8]) await pollUntil('a publish to all', () => publishedToAll(a, 'r', n))
  for (const [client, who] of [
    [c, 'a member that had heard the lost ones'],
    [quiet, 'a member that had joined behind them'],
    [d, 'and one that was the first at its node'],
  ] as const) {
    const got = await client.collectUntil(({ content }) => content === 8).catch(() => client.received)
    t.same(numbers(got.filter(({ type }) => type === 'message')).slice(-3), [6, 7, 8], `${who} goes on`)
  }
  const back = await connect(one, 'b')
  for (const offset of [3, 5, 4, 2, 6])
    t.match(await back.request({ type: 'join', room: 'r', since: { epoch, offset } }), { recovered: false })
  t.same(await back.fence(), [])
  const { epoch: next, offset } = await back.join('r')
  t.not(next, epoch)
  await a.publish('r', 9)
  await back.next(({ content }) => content === 9)
  t.match(await back.request({ type: 'join', room: 'r', since: { epoch: next, offset } }), {
    recovered: true,
    missed: 1,
  })
  await Promise.all([a, back, c, d, quiet].map((client) => client.close()))
})

t.test('a key that went no further than its node is published once when Redis is back', async (t) => {
  const { own, nodes, whole } = await lossyPair(t)
  const [a, b, c] = [await connect(nodes[0], 'a'), await connect(nodes[0], 'b'), await connect(nodes[1], 'c')]
  for (const client of [a, b, c]) await client.join('r')
  await own.kill()
  const first = await a.publish('r', 1, { key: 'k' })
  t.match(first, { scope: 'node', offset: undefined })
  t.match(
    await a.publish('r', 1, { key: 'k' }),
    { scope: 'node', duplicate: true },
    'a repeat in the meantime',
  )
  t.same(numbers([await b.next('message')]), [1], 'delivered at once beside the sender')
  await own.start()
  await whole()
  const retry = await pollUntil('the retry reaches all', () => publishedToAll(a, 'r', 1, 'k'))
  t.match(retry, { scope: 'cluster', offset: 1 })
  t.match(await a.publish('r', 1, { key: 'k' }), { scope: 'cluster', duplicate: true, offset: 1 })
  await a.publish('r', 'end')
  t.same(
    numbers(await c.collectUntil(({ content }) => content === 'end')),
    [1, 'end'],
    'the other node: once',
  )
  t.same(numbers(await b.collectUntil(({ content }) => content === 'end')), ['end'], 'and not again')
  await Promise.all([a, b, c].map((client) => client.close()))
})

t.test('what a node has missed while it was cut off, it gives its members by itself', async (t) => {
  const own = await startRedis()
  t.teardown(() => own.stop())
  const relay = await TcpRelay.open(own.port)
  t.teardown(() => relay.close())
  const env = { MESSAGE_RATE: '0', REDIS_PREFIX: 'cut:' }
  const [one, two] = await Promise.all([
    startServer({ ...env, REDIS_URL: relay.url }),
    startServer({ ...env, REDIS_URL: own.url }),
  ])
  t.teardown(() => Promise.all([one.stop(), two.stop()]))
  await Promise.all([one, two].map((node) => nodesAre(node, 2)))
  const [here, silent, there] = [await connect(one, 'a'), await connect(one, 'b'), await connect(two, 'c')]
  for (const client of [here, silent, there]) for (const room of ['busy', 'quiet']) await client.join(room)
  await there.publish('busy', 1)
  await here.next('message')
  const { port } = own
  relay.target = 1
  relay.cut()
  await pollUntil('it knows', async () => (await one.health()).status === 'degraded')
  for (const n of [2, 3, 4]) t.match(await there.publish('busy', n), { scope: 'cluster', offset: n })
  for (const n of [1, 2]) t.match(await there.publish('quiet', n), { scope: 'cluster', offset: n })
  // Its own goes to its members at once, and to nobody else.
  t.match(await here.publish('busy', 'own', { key: 'k' }), { scope: 'node' })
  const late = await connect(one, 'late')
  t.match(await late.join('busy'), { scope: 'node', epoch: undefined })
  relay.target = port
  const seen = async (client: Client, room: string, content: unknown) => {
    const got = await client.collectUntil((one) => one.room === room && one.content === content)
    return got
      .filter((one) => one.type === 'message' && one.room === room)
      .map(({ offset }) => offset ?? 'early')
  }
  t.same(await seen(here, 'quiet', 2), [1, 2], 'nobody has said anything since')
  await pollUntil('it is back', () => publishedToAll(here, 'busy', 'own', 'k'))
  t.match(await there.publish('busy', 'end'), { offset: 6 })
  t.same(await seen(silent, 'busy', 'end'), [1, 'early', 2, 3, 4, 6], 'in order, and none twice')
  const reset = await late.next('reset')
  t.match(reset, { room: 'busy', epoch: String, offset: Number }, 'who came meanwhile is told where it is')
  const got = (await late.collectUntil(({ content }) => content === 'end')).map(({ offset }) => offset)
  t.same(got.slice(-2), [5, 6], 'and gets what it has not had')
  await Promise.all([here, silent, there, late].map((client) => client.close()))
})

const roomSteps = fc.array(fc.constantFrom<Step>('publish', 'publish', 'drop', 'rejoin'), {
  minLength: 3,
  maxLength: 8,
  size: 'max',
})
const fault = fc.constantFrom('none', 'flush', 'restart', 'outage', 'evict', 'scripts', 'cut')
const rounds = fc.array(fc.tuple(fault, fc.array(roomSteps, { minLength: 10, maxLength: 10 })), {
  minLength: 5,
  maxLength: 5,
})

t.test('random faults of Redis never make a recovery with a hole', async (t) => {
  const { own, nodes, whole } = await lossyPair(t)
  const random = <T>(values: T[]) => values[Math.floor(Math.random() * values.length)]
  const act: Record<string, () => Promise<unknown>> = {
    none: async () => {},
    flush: () => own.command('FLUSHALL'),
    restart: async () => {
      await own.kill()
      await own.start()
    },
    outage: () => own.kill(),
    evict: async () => {
      const keys = (await own.command('KEYS', 'roomcast:*')) as string[]
      for (let n = 0; n < 5; n++) await own.command('DEL', random(keys) ?? '')
    },
    scripts: () => own.command('SCRIPT', 'FLUSH'),
    cut: () => own.command('CLIENT', 'KILL', 'TYPE', random(['pubsub', 'normal']) ?? ''),
  }
  let recovered = 0
  let lost = 0
  await fc.assert(
    fc.asyncProperty(rounds, async (all) => {
      const open = await Promise.all(Array.from({ length: 10 }, (_, i) => LossyRoom.open(nodes, i)))
      const runAll = (steps: Step[][], isWhole: boolean) =>
        Promise.all(
          open.map(async (room, i) => {
            for (const step of steps[i] ?? []) await room.step(step, isWhole)
          }),
        )
      try {
        for (const [name, steps] of all) {
          await runAll(steps, true)
          await act[name]?.()
          if (name === 'outage') {
            // What is published, dropped and joined meanwhile is each node's own.
            await runAll(steps, false)
            await own.start()
          }
          if (name !== 'none') await runAll(steps, false)
          await whole()
          await runAll(
            steps.map(() => ['rejoin']),
            true,
          )
        }
      } finally {
        for (const room of open) {
          recovered += room.recovered
          lost += room.lost
          room.close()
        }
      }
    }),
    { numRuns: 2, endOnFailure: true },
  )
  t.ok(recovered > 20 && lost > 5, `${recovered} recoveries, ${lost} losses, and none of them untrue`)
})
