// What an operator may do to clients: on one node, and on two that share one Redis or a Cluster.
import type { AddressInfo } from 'node:net'
import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import roomcast, { type RoomcastOptions } from '../../src/app.ts'
import { tellPayload } from '../../src/bridge/redis-tell.ts'
import { type Client, connect } from '../support/client.ts'
import { RawSocket, upgradeRequest } from '../support/raw-socket.ts'
import { startRedis, startRedisCluster } from '../support/redis.ts'
import { TcpRelay } from '../support/tcp-relay.ts'
import { nowS, SECRET, tokenFor } from '../support/token.ts'
import { pollUntil } from '../support/until.ts'

const redis = await startRedis()
const cluster = await startRedisCluster()
t.teardown(async () => {
  await redis.stop()
  await cluster.stop()
})

interface Node {
  app: FastifyInstance
  host: string
  port: number
}

/** An app that embeds roomcast, as a node. */
async function startNode(t: Test, options: Partial<RoomcastOptions>): Promise<Node> {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(roomcast, { jwtSecret: SECRET, connectRateMax: 0, ...options })
  await app.listen({ port: 0, host: '127.0.0.1' })
  return { app, host: '127.0.0.1', port: (app.server.address() as AddressInfo).port }
}

/** They know each other when this resolves. */
async function startNodes(t: Test, count: number, options: Partial<RoomcastOptions>): Promise<Node[]> {
  const nodes = await Promise.all(Array.from({ length: count }, () => startNode(t, options)))
  await pollUntil('they know each other', () =>
    nodes.every(({ app }) => app.bridge.others().length === count - 1),
  )
  return nodes
}

async function client(t: Test, node: Node, sub: string, claims = {}, token?: string): Promise<Client> {
  const one = await connect(node, sub, claims, token === undefined ? {} : { token })
  t.teardown(() => one.socket.destroy())
  return one
}

async function statusOf(node: Node, token: string): Promise<number> {
  const socket = await RawSocket.open(node)
  socket.write(upgradeRequest(`/ws?token=${token}`))
  const { status } = await socket.answer()
  socket.destroy()
  return status
}

let prefixes = 0
const kinds = [
  ['memory', 1, () => ({})],
  ['one Redis', 2, () => ({ redisUrl: redis.url, redisPrefix: `c${++prefixes}:` })],
  ['Cluster', 2, () => ({ redisUrl: cluster.url, redisPrefix: `c${++prefixes}:` })],
] as const

for (const [name, count, options] of kinds) {
  t.test(`${name}: disconnect ends a user's clients, or one, on every node`, async (t) => {
    const nodes = await startNodes(t, count, options())
    const [first, last] = [nodes[0] as Node, nodes.at(-1) as Node]
    const all = { asked: count, answered: count, missing: [] }
    const [a1, a2, b1, b2] = [
      await client(t, first, 'ada'),
      await client(t, last, 'ada'),
      await client(t, first, 'bob'),
      await client(t, last, 'bob'),
    ]
    t.strictSame(await first.app.hub.disconnect({ user: 'ada' }), {
      scope: 'cluster',
      clients: 2,
      nodes: all,
    })
    for (const one of [a1, a2]) t.match(await one.closed(1000), { code: 4403, reason: 'disconnected' })
    const byId = await first.app.hub.disconnect({ client: b2.id }, 'bad manners')
    t.strictSame(byId, { scope: 'cluster', clients: 1, nodes: all })
    t.match(await b2.closed(1000), { code: 4403, reason: 'bad manners' })
    t.strictSame(await b1.fence(), [], 'nobody else')
    t.match(await last.app.hub.disconnect({ user: 'nobody' }), { scope: 'cluster', clients: 0 })
    await client(t, last, 'ada')
    t.pass('and it bars nobody')
  })

  t.test(`${name}: remove has a user's clients leave a room, on every node`, async (t) => {
    const nodes = await startNodes(t, count, options())
    const [first, last] = [nodes[0] as Node, nodes.at(-1) as Node]
    const members = [
      await client(t, first, 'ada'),
      await client(t, last, 'ada'),
      await client(t, last, 'bob'),
    ]
    const [a1, a2, bob] = members as [Client, Client, Client]
    for (const one of members) for (const room of ['r', 's']) await one.join(room)
    t.match(await first.app.hub.remove({ user: 'ada', room: 'r' }), { scope: 'cluster', clients: 2 })
    for (const one of [a1, a2]) {
      const left = await one.next('left')
      t.strictSame(left, { type: 'left', room: 'r', reason: 'removed' })
    }
    await bob.publish('r', 1)
    await bob.publish('s', 2)
    for (const one of [a1, a2]) t.match(await one.next('message'), { room: 's', content: 2 })
    t.match(await a1.request({ type: 'message', room: 'r', content: 1 }), { code: 'not_member' })
    await a1.join('r')
    await bob.publish('r', 3)
    t.match(await a1.next('message'), { room: 'r', content: 3 }, 'and it may join again')
  })

  t.test(
    `${name}: revoke ends the clients of a user's older tokens, and lets none of them in again`,
    async (t) => {
      const nodes = await startNodes(t, count, options())
      const [first, last] = [nodes[0] as Node, nodes.at(-1) as Node]
      const iat = nowS()
      const older = tokenFor('ada', { iat: iat - 60 })
      const newer = tokenFor('ada', { iat: iat + 60 })
      const undated = tokenFor('ada')
      const ended = [
        await client(t, first, 'ada', {}, older),
        await client(t, last, 'ada', {}, older),
        await client(t, last, 'ada', {}, undated),
      ]
      const stays = [await client(t, last, 'ada', {}, newer), await client(t, last, 'bob', { iat: iat - 60 })]
      t.match(await first.app.hub.revoke({ user: 'ada' }), { scope: 'cluster', clients: 3 })
      for (const one of ended) t.match(await one.closed(1000), { code: 4403, reason: 'revoked' })
      for (const one of stays) t.strictSame(await one.fence(), [])
      for (const node of nodes) {
        for (const token of [older, undated]) t.equal(await statusOf(node, token), 401)
        t.equal(await statusOf(node, newer), 101)
        t.ok(node.app.hub.isRevoked({ user: 'ada', issuedAtMs: (iat - 60) * 1000 } as never))
      }
    },
  )

  t.test(`${name}: revoke ends the clients of one token by its jti`, async (t) => {
    const nodes = await startNodes(t, count, options())
    const [first, last] = [nodes[0] as Node, nodes.at(-1) as Node]
    const token = tokenFor('ada', { jti: 'one' })
    const [one, other] = [await client(t, last, '', {}, token), await client(t, last, 'ada', { jti: 'two' })]
    const done = await first.app.hub.revoke({ jti: 'one', expiresAt: Date.now() + 3_600_000 })
    t.match(done, { scope: 'cluster', clients: 1 })
    t.match(await one.closed(1000), { code: 4403, reason: 'revoked' })
    t.strictSame(await other.fence(), [])
    for (const node of nodes) t.equal(await statusOf(node, token), 401)
  })

  t.test(`${name}: what names nobody is refused`, async (t) => {
    const [{ app }] = (await startNodes(t, 1, options())) as [Node]
    const { hub } = app
    const bad = [
      () => hub.disconnect({} as never),
      () => hub.disconnect({ user: '' }),
      () => hub.disconnect({ user: 'a', client: 'b' } as never),
      () => hub.disconnect({ user: 'a' }, 'x'.repeat(124)),
      () => hub.disconnect({ user: 'a' }, 'é'),
      () => hub.remove({ user: 'a', room: '' }),
      () => hub.remove({ room: 'r' } as never),
      () => hub.revoke({} as never),
      () => hub.revoke({ user: 'a', issuedBefore: Number.NaN }),
      () => hub.revoke({ user: 'a', issuedBefore: new Date() as never }),
      () => hub.revoke({ jti: 'x'.repeat(257) }),
      () => hub.revoke({ jti: 'a', user: 'b' } as never),
      () => hub.revoke(undefined as never),
    ]
    for (const call of bad) await t.rejects(call(), TypeError, String(call))
  })
}

/** Two nodes, each behind a relay that can take Redis away from it. */
async function startRelayed(t: Test) {
  const relays = [await TcpRelay.open(redis.port), await TcpRelay.open(redis.port)]
  t.teardown(() => Promise.all(relays.map((relay) => relay.close())))
  const redisPrefix = `c${++prefixes}:`
  const nodes = await Promise.all(
    relays.map(({ url }) => startNode(t, { redisUrl: url, redisPrefix, bridgeTimeoutMs: 500 })),
  )
  await pollUntil('they know each other', () => nodes.every(({ app }) => app.bridge.others().length === 1))
  const is = (index: number, state: string) =>
    pollUntil(state, () => nodes[index]?.app.bridge.status().state === state, 10_000)
  const cut = async (index: number) => {
    const relay = relays[index] as TcpRelay
    relay.target = 1
    relay.cut()
    await is(index, 'down')
  }
  const mend = async (index: number) => {
    const relay = relays[index] as TcpRelay
    relay.target = redis.port
    await is(index, 'up')
  }
  return { nodes: nodes as [Node, Node], redisPrefix, cut, mend }
}

t.test('a node without Redis revokes here at once, and elsewhere as soon as Redis is back', async (t) => {
  const { nodes, cut, mend, redisPrefix } = await startRelayed(t)
  const [first, last] = nodes
  const [here, there] = [await client(t, first, 'ada'), await client(t, last, 'ada')]
  await cut(0)
  const missing = { asked: 2, answered: 1, missing: [last.app.hub.node] }
  t.strictSame(await first.app.hub.revoke({ user: 'ada' }), { scope: 'node', clients: 1, nodes: missing })
  t.match(await here.closed(1000), { code: 4403, reason: 'revoked' })
  t.match(await first.app.hub.disconnect({ user: 'ada' }), { scope: 'node', clients: 0 })
  t.strictSame(await there.fence(), [])
  await mend(0)
  t.match(await there.closed(3000), { code: 4403, reason: 'revoked' })
  t.equal(await statusOf(last, tokenFor('ada', { iat: nowS() - 9 })), 401)
  const late = await startNode(t, { redisUrl: redis.url, redisPrefix })
  t.equal(await statusOf(late, tokenFor('ada', { iat: nowS() - 9 })), 401, 'and who starts later knows')
})

t.test(
  'a node that was away when others revoked comes to know, and what Redis has lost it gets again',
  async (t) => {
    const { nodes, cut, mend, redisPrefix } = await startRelayed(t)
    const [first, last] = nodes
    const there = await client(t, last, 'ada', { jti: 'j' })
    await cut(1)
    const fromMs = performance.now()
    const done = await first.app.hub.revoke({ jti: 'j' })
    t.ok(performance.now() - fromMs < 2000, 'nobody is waited for for long')
    t.match(done, { scope: 'cluster', nodes: { asked: 2, answered: 1, missing: [last.app.hub.node] } })
    t.strictSame(await there.fence(), [])
    await mend(1)
    t.match(await there.closed(3000), { code: 4403, reason: 'revoked' })
    const keys = (await redis.command('KEYS', `${redisPrefix}notes*`)) as string[]
    t.equal(keys.length, 3)
    for (const key of keys) t.ok(Number(await redis.command('PTTL', key)) > 0, 'nothing is kept for ever')
    await redis.command('DEL', ...keys)
    await first.app.hub.revoke({ jti: 'k' })
    await last.app.hub.control.whenInformed()
    const late = await startNode(t, { redisUrl: redis.url, redisPrefix })
    for (const jti of ['j', 'k']) t.equal(await statusOf(late, tokenFor('ada', { jti })), 401, jti)
  },
)

t.test("what nobody has told is dropped on the nodes' channels, whatever its form and size", async (t) => {
  const redisPrefix = `c${++prefixes}:`
  const nodes = (await startNodes(t, 2, { redisUrl: redis.url, redisPrefix })) as [Node, Node]
  const [first, last] = nodes
  const member = await client(t, last, 'ada')
  const ask = (more: object) => JSON.stringify({ type: 'ask', id: '1', kind: 'disconnect', ...more })
  const texts = [
    '',
    'null',
    '[]',
    '{'.repeat(30_000),
    '['.repeat(30_000) + ']'.repeat(30_000),
    ask({}),
    ask({ with: { whom: { user: 'ada', client: 'x' }, reason: 'x' } }),
    ask({ with: { whom: { user: 'ada' }, reason: 'x'.repeat(200) } }),
    ask({ kind: '__proto__', with: {} }),
    ask({ kind: 'constructor' }),
    ask({ kind: 'revoke', with: { notes: [{ name: 'ada', value: 1, untilMs: 1 }], isKept: true } }),
    ask({ kind: 'revoke', with: { notes: [{ name: 'user:ada', value: 1e300, untilMs: 1 }], isKept: true } }),
    JSON.stringify({ type: 'answer', id: '1', index: 0, parts: 1, text: '5' }),
    JSON.stringify({ type: 'answer', id: '1', index: -1, parts: 1e9, text: 'x'.repeat(20_000) }),
  ]
  const payloads = [
    'tell',
    'tell x',
    `tell x y\n`,
    `tell ${'x'.repeat(200)} 0\n`,
    tellPayload('stranger', 'x'.repeat(70_000)),
    `tell stranger ${'x'.repeat(5_000_000)}`,
    tellPayload('stranger', ask({ with: { whom: { user: 'ada' }, reason: 'x' } })).replace('ada', 'eve'),
    ...texts.map((text) => tellPayload('stranger', text)),
  ]
  for (const channel of [`${redisPrefix}nodes:{nodes}`, `${redisPrefix}node:${last.app.hub.node}:{nodes}`])
    for (const payload of payloads) await redis.command('PUBLISH', channel, payload)
  await redis.command('ZADD', `${redisPrefix}notes:order:{nodes}`, 1, 'user:ada')
  await redis.command('HSET', `${redisPrefix}notes:{nodes}`, 'epoch', 'e', 'revision', 1, 'user:ada', '1 x')
  await last.app.hub.control.whenInformed()
  t.strictSame(await member.fence(), [])
  t.match(await first.app.hub.revoke({ user: 'ada' }), {
    scope: 'cluster',
    clients: 1,
    nodes: { missing: [] },
  })
  t.match(await member.closed(1000), { code: 4403, reason: 'revoked' })
})

t.test('a flood of revocations is carried out, and holds nobody up', async (t) => {
  const nodes = await startNodes(t, 2, { redisUrl: redis.url, redisPrefix: `c${++prefixes}:` })
  const [first, last] = nodes as [Node, Node]
  const [target, other] = [await client(t, last, 'ada', { jti: 'j999' }), await client(t, last, 'bob')]
  for (let wave = 0; wave < 10; wave++) {
    const flood = Array.from({ length: 200 }, (_, n) => first.app.hub.revoke({ jti: `j${200 * wave + n}` }))
    await other.fence(1500)
    for (const { scope } of await Promise.all(flood)) if (scope !== 'cluster') t.fail('it went nowhere')
  }
  t.match(await target.closed(1000), { code: 4403, reason: 'revoked' })
})
