import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import t, { type Test } from 'tap'
import { bridgeContract, TestNode } from '../support/bridge-contract.ts'
import { startRedis, startRedisCluster } from '../support/redis.ts'
import { redisBridge } from '../support/redis-bridge.ts'
import { TcpRelay } from '../support/tcp-relay.ts'
import { pollUntil } from '../support/until.ts'

const single = await startRedis()
const cluster = await startRedisCluster()
t.teardown(async () => {
  await single.stop()
  await cluster.stop()
})

bridgeContract('one Redis', { nodes: 2, create: () => redisBridge(single.url) })
bridgeContract('Redis Cluster', { nodes: 2, create: () => redisBridge(cluster.url) })

const limits = { size: 5, ttlMs: 60_000, maxBytes: 100_000 }

async function nodeWith(t: Test, some: Partial<typeof limits> = {}): Promise<TestNode> {
  const node = new TestNode(redisBridge(single.url), { ...limits, ...some })
  t.teardown(() => node.bridge.close())
  await node.bridge.whenUp(5000)
  return node
}

t.test('what nodes without history publish is a hole to those with one, and they say so', async (t) => {
  const [keeps, keepsNot] = [await nodeWith(t), await nodeWith(t, { size: 0 })]
  t.match(await keeps.publish('r', 1), { offset: 1 })
  const { position } = await keeps.replay('r', { since: undefined, limit: 0 })
  t.match(position, { offset: 1 })
  t.match(await keepsNot.publish('r', 2), { offset: undefined })
  const { isComplete } = await keeps.replay('r', { since: position, limit: 9 })
  t.equal(isComplete, false)
})

t.test("a room's key of another type is replaced, and harms no other room", async (t) => {
  const node = await nodeWith(t)
  const once = { user: 'u', key: 'k' }
  for (const room of ['p', 'q', 's']) await node.publish(room, 0, { once })
  const keys = (await single.command('KEYS', '*')) as string[]
  const spoilt = keys.filter((key) => /\{[pqs]\}/.test(key))
  t.equal(spoilt.length, 9, `messages, position and mark of each: ${spoilt}`)
  for (const key of spoilt) {
    await single.command('DEL', key)
    // Of each room one kind is spoilt.
    const kinds = { p: /messages/, q: /position/, s: /once/ }
    const [, room] = /\{([pqs])\}/.exec(key) ?? []
    if (kinds[room as keyof typeof kinds].test(key)) await single.command('SADD', key, 'x')
  }
  t.equal((await node.replay('p', { since: { epoch: 'x', offset: 0 }, limit: 9 })).isComplete, false)
  for (const room of ['p', 'q', 's']) {
    t.match(
      await node.publish(room, 1, { once }),
      { scope: 'cluster', offset: 1, duplicate: undefined },
      room,
    )
    t.match(await node.publish(room, 1, { once }), { scope: 'cluster', duplicate: true })
    t.equal((await node.replay(room, { since: undefined, limit: 9 })).messages.length, 1)
  }
  t.match(node.bridge.status(), { state: 'up' })
})

for (const [kind, url, servers] of [
  ['one Redis', single.url, [single]],
  ['Cluster', cluster.url, cluster.servers],
] as const) {
  t.test(
    `${kind}: joins of rooms in which nothing was said leave no keys, and are recovered from`,
    async (t) => {
      const nodes = [redisBridge(url), redisBridge(url)].map((bridge) => new TestNode(bridge))
      const [one, two] = nodes as [TestNode, TestNode]
      t.teardown(() => Promise.all(nodes.map(({ bridge }) => bridge.close())))
      await Promise.all(nodes.map(({ bridge }) => bridge.whenUp(5000)))
      for (const server of servers) await server.command('FLUSHALL')
      const none = { since: undefined, limit: 0 }
      // On a Cluster each slot may have a key.
      for (let n = 0; n < (servers.length > 1 ? 2 : 20); n++)
        await Promise.all(Array.from({ length: 1000 }, (_, m) => one.replay(`new ${n} ${m}`, none)))
      const keys = (
        await Promise.all(servers.map((server) => server.command('KEYS', '*')))
      ).flat() as string[]
      t.strictSame(
        keys.filter((key) => /(position|messages):\{/.test(key)),
        [],
      )
      t.ok(keys.length <= 16_384 + 10, `${keys.length} keys, one a slot at most`)

      const { position: since } = await one.replay('new 0 0', none)
      await two.publish('new 0 0', 'first')
      t.match(await one.replay('new 0 0', { since, limit: 9 }), { isComplete: true })
      // Whatever of it is lost, nothing is called complete that is not.
      for (const lost of ['messages', 'position', 'messages|position', 'all']) {
        await two.publish('new 0 0', 'before')
        const { position: seen } = await one.replay('new 0 0', none)
        await two.publish('new 0 0', 'missed')
        for (const server of servers) {
          if (lost === 'all') await server.command('FLUSHALL')
          for (const key of (await server.command('KEYS', '*{new%200%200}')) as string[])
            if (new RegExp(lost).test(key)) await server.command('DEL', key)
        }
        for (const from of [since, seen]) {
          const { isComplete, messages } = await two.replay('new 0 0', { since: from, limit: 9 })
          const hasMissed = messages.some((text) => String(text).includes('"missed"'))
          t.ok(!isComplete || hasMissed, `${lost} lost`)
        }
      }
    },
  )
}

/** A Sentinel that says what the test has it say. */
async function startSentinel(t: Test, named: { port: number; epoch: number }): Promise<string> {
  const list = (words: string[]) =>
    `*${words.length}\r\n${words.map((word) => `$${word.length}\r\n${word}\r\n`).join('')}`
  const answerTo = (command: string) => {
    if (/GET-MASTER-ADDR/i.test(command)) return list(['127.0.0.1', `${named.port}`])
    return /SENTINEL/i.test(command) ? list(['config-epoch', `${named.epoch}`, 'flags', 'master']) : '+OK\r\n'
  }
  const server = createServer((socket) => {
    socket.on('error', () => {})
    socket.on('data', (bytes) => {
      for (const command of String(bytes).split(/(?=\*\d+\r\n)/)) socket.write(answerTo(command))
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  return `redis+sentinel://127.0.0.1:${(server.address() as AddressInfo).port}/m`
}

t.test(
  'what is first heard through a master that was replaced has come back, and is not told again',
  async (t) => {
    // Both lead to one Redis: so the former one tells, as a replica would, what the new one was given, and sooner.
    const [former, present] = [await TcpRelay.open(single.port), await TcpRelay.open(single.port)]
    present.latencyMs = 20
    const named = { port: former.port, epoch: 1 }
    const node = new TestNode(redisBridge(await startSentinel(t, named)))
    t.teardown(async () => {
      await node.bridge.close()
      await Promise.all([former.close(), present.close()])
    })
    await node.bridge.whenUp(5000)
    t.match(await node.publish(undefined, 'before'), { scope: 'cluster' })
    await node.hears(undefined, ['before'])
    Object.assign(named, { port: present.port, epoch: 2 })
    await pollUntil('a new master', () => node.bridge.status().state === 'down')
    await node.bridge.whenUp(5000)
    t.ok(former.upstreamPorts().length > 0, 'the former one is still listened to')
    t.match(await node.publish(undefined, 'after'), { scope: 'cluster' })
    await pollUntil('the end of that', () => former.upstreamPorts().length === 0)
    t.strictSame(node.contents(undefined), ['before', 'after'])
  },
)

t.test('what the history does not have any more is asked for once, what cannot be read again', async (t) => {
  const relay = await TcpRelay.open(single.port)
  const node = new TestNode(redisBridge(relay.url))
  t.teardown(async () => {
    await node.bridge.close()
    await relay.close()
  })
  node.catchUp = async (room) => {
    node.caughtUp.push(room)
    return room === 'gone' ? 'gap' : 'unread'
  }
  const asked = (room: string) => node.caughtUp.filter((one) => one === room).length
  await node.bridge.whenUp(5000)
  for (const room of ['gone', 'unread']) t.equal(await node.bridge.subscribe(room), 'cluster')
  relay.cut('subscribe')
  await pollUntil('it is asked again', () => asked('unread') >= 3)
  t.equal(asked('gone'), 1)
})

t.test('rooms that begin in one epoch are bounded, and none begins twice in one', async (t) => {
  const node = await nodeWith(t)
  const beginnings = async () => {
    const [key = ''] = (await single.command('KEYS', '*:beginnings:*')) as string[]
    return { key, rooms: Number(await single.command('HGET', key, 'rooms')) }
  }
  await node.publish('first', 1)
  const { key, rooms } = await beginnings()
  t.ok(rooms >= 1)
  const { position: empty } = await node.replay('empty', { since: undefined, limit: 0 })
  t.ok((await node.replay('empty', { since: empty, limit: 1 })).isComplete)
  await single.command('HSET', key, 'rooms', 10_000)
  await node.publish('second', 1)
  t.equal((await beginnings()).rooms, 1, 'begun anew')
  t.notOk((await node.replay('empty', { since: empty, limit: 1 })).isComplete)
  const since = (await node.replay('first', { since: undefined, limit: 0 })).position
  t.match(since, { offset: 1 }, 'what had begun goes on')
  for (const kind of ['messages', 'position']) await single.command('DEL', `test:${kind}:{first}`)
  for (const content of [2, 3]) await node.publish('first', content)
  t.notOk((await node.replay('first', { since, limit: 9 })).isComplete)
})
