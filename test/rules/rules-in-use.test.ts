import t from 'tap'
import { z } from 'zod'
import { Permissions } from '../../src/auth/permissions.ts'
import { MemoryBridge } from '../../src/bridge/memory-bridge.ts'
import { configFrom } from '../../src/config.ts'
import type { Hooks } from '../../src/hooks/hooks.ts'
import { Hub } from '../../src/hub/hub.ts'
import { ReadPump } from '../../src/hub/read-pump.ts'
import type { Log } from '../../src/log.ts'
import { MemoryPresence } from '../../src/presence/memory-presence.ts'
import { RoomRules } from '../../src/rules/room-rules.ts'
import type { RulesInput } from '../../src/rules/rules-input.ts'
import { decodeFrames, FakeSocket, turnEnd } from '../support/fake-socket.ts'

const silent = { debug() {}, info() {}, warn() {}, error() {} }

/** A hub with these rules, whose clock the test sets. */
function hubWith(rules: RulesInput, hooks?: Hooks, log: Log = silent) {
  const config = configFrom({ rules })
  const clock = { nowMs: 1_000_000, steadyMs: () => clock.nowMs, wallMs: () => clock.nowMs }
  const bridge = new MemoryBridge(config, clock)
  const presence = new MemoryPresence()
  const hub = new Hub({
    bridge,
    presence,
    limits: config,
    rules: new RoomRules(config.roomRules, config),
    log,
    clock,
    hooks,
  })
  t.teardown(() => hub.close())
  const connect = (user: string, publish = ['*']) => {
    const socket = new FakeSocket()
    const permissions = new Permissions({ join: ['*'], publish, broadcast: true }, user)
    const client = hub.connect(socket, { user, permissions, expiresAt: Infinity })
    const limits = { messageRate: 0, messageBurst: 1 }
    const pump = new ReadPump(hub, client, { clock, log, limits, maxNesting: 16 })
    const say = (envelope: object | string) =>
      pump.receive(Buffer.from(typeof envelope === 'string' ? envelope : JSON.stringify(envelope)), false)
    /** What has come since it was asked last. */
    let read = 0
    const got = async () => {
      await turnEnd()
      const all = decodeFrames(socket)
      const fresh = all.slice(read)
      read = all.length
      return fresh
    }
    return { client, say, got }
  }
  return { hub, clock, connect }
}

t.test('a rule says who publishes', async (t) => {
  const { hub, connect } = hubWith({
    news: { publish: 'server' },
    'inbox.*': { publish: 'anyone' },
    __proto__x: {},
    ['__proto__']: { publish: 'server' },
  })
  const [a, b] = [connect('a'), connect('b', ['inbox.b'])]
  for (const room of ['news', 'inbox.a', 'other', '__proto__']) a.say({ type: 'join', room })
  await a.got()
  for (const room of ['news', '__proto__']) {
    a.say({ type: 'message', room, content: 1, id: 1 })
    t.match(await a.got(), [{ type: 'error', code: 'forbidden', id: 1, room }], 'a member may not')
    t.match(await hub.publish(room, 'from the app'), { scope: 'cluster' })
    t.match(await a.got(), [{ type: 'message', content: 'from the app', offset: 1 }])
  }
  b.say({ type: 'message', room: 'inbox.b', content: 1, id: 1 })
  t.match(await b.got(), [{}, { type: 'ack', offset: 1 }], 'nobody has to be in it')
  b.say({ type: 'message', room: 'inbox.a', content: 1, id: 2 })
  t.match(await b.got(), [{ code: 'forbidden', id: 2 }], 'but the token must allow it')
  b.say({ type: 'message', room: 'other', content: 1, id: 3 })
  t.match(await b.got(), [{ code: 'not_member', id: 3 }])
})

t.test('a rate holds for each client and room by itself, and leaving does not fill it', async (t) => {
  const { clock, connect } = hubWith({ 'cursors.*': { rate: { perSecond: 10, burst: 2 } } })
  const [a, b] = [connect('a'), connect('a')]
  for (const one of [a, b])
    for (const room of ['cursors.1', 'cursors.2', 'free']) one.say({ type: 'join', room })
  await a.got()
  const publish = async (one: typeof a, room: string) => {
    one.say({ type: 'message', room, content: 1, id: 7 })
    return (await one.got()).filter(({ type }) => type !== 'message')
  }
  for (const room of ['cursors.1', 'cursors.1', 'cursors.2', 'cursors.2', 'free', 'free', 'free'])
    t.match(await publish(a, room), [{ type: 'ack' }], room)
  const refused = [{ type: 'error', code: 'rate_limited', id: 7, room: 'cursors.1', retryAfterMs: 100 }]
  t.match(await publish(a, 'cursors.1'), refused)
  t.match(await publish(a, 'cursors.1'), refused, 'what is refused takes nothing')
  a.say({ type: 'leave', room: 'cursors.1' })
  a.say({ type: 'join', room: 'cursors.1' })
  await a.got()
  t.match(await publish(a, 'cursors.1'), refused)
  await b.got()
  t.match(await publish(b, 'cursors.1'), [{ type: 'ack' }], 'another client has its own')
  clock.nowMs += 100
  t.match(await publish(a, 'cursors.1'), [{ type: 'ack' }])
  t.match(await publish(a, 'cursors.1'), refused)
  clock.nowMs += 10_000
  for (const type of ['ack', 'ack', 'error']) t.match(await publish(a, 'cursors.1'), [{ type }])
})

t.test('who comes back goes on with what the user has left of a rate', async (t) => {
  const { clock, connect } = hubWith({ slow: { rate: { perSecond: 1 } } })
  const publishAs = async (user: string) => {
    const one = connect(user)
    one.say({ type: 'join', room: 'slow' })
    await one.got()
    one.say({ type: 'message', room: 'slow', content: 1, id: 7 })
    const [answer] = await one.got()
    one.client.destroy()
    return answer?.type
  }
  t.equal(await publishAs('a'), 'ack')
  t.equal(await publishAs('a'), 'error')
  t.equal(await publishAs('b'), 'ack', 'another user has its own')
  clock.nowMs += 1000
  t.equal(await publishAs('a'), 'ack')
  t.equal(await publishAs('a'), 'error')
})

t.test('a schema that throws is logged once a second, and its answer names the room', async (t) => {
  const lines: unknown[] = []
  const { clock, connect } = hubWith(
    {
      r: {
        content: z.any().refine(() => {
          throw new Error('no')
        }),
      },
    },
    undefined,
    {
      ...silent,
      error: (fields: object) => lines.push(fields),
    },
  )
  const a = connect('a')
  a.say({ type: 'join', room: 'r' })
  for (let n = 0; n < 3; n++) a.say({ type: 'message', room: 'r', content: n, id: 1 })
  t.match((await a.got()).slice(-1), [{ type: 'error', code: 'internal', room: 'r', id: 1 }])
  clock.nowMs += 1000
  a.say({ type: 'message', room: 'r', content: 4 })
  await a.got()
  t.match(lines, [{ count: 1 }, { count: 3 }])
})

t.test('a hook is not asked about what is over a rate', async (t) => {
  let asked = 0
  const publish = () => {
    asked++
    return undefined
  }
  const { connect } = hubWith({ cursors: { rate: { perSecond: 1, burst: 1 } } }, { publish })
  const a = connect('a')
  for (const type of ['join', 'message', 'message']) a.say({ type, room: 'cursors', content: 1, id: 1 })
  t.match((await a.got()).slice(1), [{ type: 'joined' }, { type: 'ack' }, { code: 'rate_limited' }])
  t.equal(asked, 1)
})

const order = z.object({ items: z.array(z.object({ price: z.number() })) })

t.test('a schema says what a room takes, and what is relayed is the sender\u2019s text', async (t) => {
  const { hub, connect } = hubWith({ 'orders.*': { content: order } })
  const [a, b] = [connect('a'), connect('b')]
  for (const one of [a, b]) one.say({ type: 'join', room: 'orders.1' })
  await Promise.all([a.got(), b.got()])
  a.say({ type: 'message', room: 'orders.1', content: { items: [{ price: 1 }, { price: 'x' }] }, id: 1 })
  const [fault] = await a.got()
  t.match(fault, { type: 'error', code: 'bad_content', id: 1, room: 'orders.1' })
  t.match(fault?.message, /^content\.items\[1\]\.price: /)
  a.say(
    '{"type":"message","room":"orders.1","id":2,"content": {"items":[{ "price":9007199254740993 }],"x":1e2}}',
  )
  t.match(await a.got(), [{ type: 'ack', id: 2, offset: 1 }], 'the refused one has no offset')
  t.match(await b.got(), [{ type: 'message', offset: 1, content: { x: 100 } }])
  const { messages } = await hub.replay('orders.1', undefined)
  t.ok(String(messages[0]).includes('{"items":[{ "price":9007199254740993 }],"x":1e2}'), 'byte for byte')
  await t.rejects(hub.publish('orders.1', { items: 1 }), { name: 'TypeError', message: /^content\.items: / })
  t.match(await hub.publish('orders.1', { items: [] }), { offset: 2 })
})

t.test('a schema may take its time, and a client\u2019s messages keep their order', async (t) => {
  const waiting: (() => void)[] = []
  const validate = async (value: unknown) => {
    await new Promise<void>((resolve) => waiting.push(resolve))
    const { n } = value as { n: number }
    if (n < 0) throw new Error('of the schema')
    return n === 2 ? { issues: [{ message: 'no twos' }] } : {}
  }
  const slow = { '~standard': { version: 1, vendor: 'test', validate } } as const
  const { hub, connect } = hubWith({ slow: { content: slow } })
  const [a, b] = [connect('a'), connect('b')]
  for (const one of [a, b]) for (const room of ['slow', 'fast']) one.say({ type: 'join', room })
  await Promise.all([a.got(), b.got()])
  const next = async () => {
    for (let turn = 0; turn < 5; turn++) await turnEnd()
    waiting.shift()?.()
    for (let turn = 0; turn < 5; turn++) await turnEnd()
  }
  for (const n of [1, 2, -3, 4]) a.say({ type: 'message', room: 'slow', content: { n }, id: n })
  a.say({ type: 'message', room: 'fast', content: 'behind', id: 5 })
  b.say({ type: 'message', room: 'fast', content: 'nobody else waits', id: 1 })
  t.match(await a.got(), [{ content: 'nobody else waits' }])
  for (let n = 0; n < 4; n++) await next()
  t.match(await a.got(), [
    { type: 'ack', id: 1 },
    { type: 'error', code: 'bad_content', id: 2, message: 'content: no twos' },
    { type: 'error', code: 'internal', id: -3 },
    { type: 'ack', id: 4 },
    { type: 'ack', id: 5 },
  ])
  t.match(await b.got(), [
    { type: 'ack' },
    { content: { n: 1 } },
    { content: { n: 4 } },
    { content: 'behind' },
  ])
  a.say({ type: 'message', room: 'slow', content: { n: 6 } })
  a.client.socketClosed()
  await next()
  t.strictSame(await b.got(), [], 'a client that has gone meanwhile publishes nothing')
  t.equal(hub.rooms.members('slow').size, 1)
})

t.test('whatever can be awaited is', async (t) => {
  // biome-ignore lint/suspicious/noThenProperty: that is what is tried here.
  const thenable = { then: (done: (result: object) => void) => done({ issues: [{ message: 'no' }] }) }
  const content = { '~standard': { version: 1, vendor: 'x', validate: () => thenable } } as never
  const { connect, hub } = hubWith({ r: { content } })
  const a = connect('a')
  a.say({ type: 'join', room: 'r' })
  a.say({ type: 'message', room: 'r', content: 1, id: 1 })
  for (let turn = 0; turn < 3; turn++) await turnEnd()
  t.match((await a.got()).at(-1), { code: 'bad_content', message: 'content: no' })
  await t.rejects(hub.publish('r', 1), { message: 'content: no' })
})
