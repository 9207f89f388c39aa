// ../shared/cases/client.md, Reconnecting: by number.
import t from 'tap'
import { kindServer, World } from './support/world.ts'

t.test('19 there is a wait between attempts, however fast they fail', async (t) => {
  const world = new World()
  const hub = world.connect({ token: () => 'token' })
  const failing = setInterval(() => {}, 1000)
  for (let n = 0; n < 200; n++) {
    await world.pass(50)
    if (world.socket.readyState === 0) world.socket.end()
  }
  clearInterval(failing)
  t.ok(world.sockets.length < 7, `${world.sockets.length} in 10 s`)
  hub.close()
})

t.test('20 a connect that proves nothing does not begin the back-off anew', async (t) => {
  const world = new World()
  const hub = world.connect({ token: () => 'token' })
  hub.room('r')
  const waits: number[] = []
  hub.on('state', (state) => {
    if (state.name === 'waiting') waits.push(state.retryInMs)
  })
  for (let n = 0; n < 5; n++) {
    await world.settle()
    world.socket.accept()
    world.socket.end()
    await world.pass(10_000)
  }
  t.strictSame(waits, [75, 150, 300, 600, 1200], 'without a joined')
  world.onSent = kindServer()
  world.socket.accept()
  await world.settle()
  world.socket.end()
  t.equal(waits.at(-1), 75, 'a joined begins it anew')
  hub.close()
})

t.test('21 what an old socket says late is nobody’s', async (t) => {
  const world = new World()
  const hub = await world.open()
  const [old] = world.sockets
  const { onclose, onmessage } = old ?? {}
  old?.end()
  await world.pass(200)
  const socket = world.socket.accept()
  onclose?.({ code: 1006, reason: '' })
  onmessage?.({ data: '{"type":"closing","reconnectInMs":1}' })
  await world.pass(1_000)
  t.equal(hub.state.name, 'open')
  t.equal(world.socket, socket)
  hub.close()
})

t.test('22 close() while connecting leaves nothing behind', async (t) => {
  for (const turns of [0, 1]) {
    const world = new World()
    const hub = world.connect({ token: async () => 'token' })
    if (turns > 0) await world.settle()
    hub.close()
    await world.pass(60_000)
    t.ok(world.sockets.every(({ closedWith }) => closedWith !== undefined))
    t.equal(world.timers.size, 0)
    t.equal(world.listeners, 0)
  }
})

t.test('23 after close() no timer is left', async (t) => {
  const world = new World()
  const hub = await world.open({ token: () => 'token' })
  const room = hub.room('r')
  const asked = Promise.allSettled([room.publish(1), hub.call('slow')])
  await world.settle()
  hub.close()
  t.equal(world.timers.size, 0)
  t.match(await asked, [{ reason: { code: 'closed' } }, { reason: { code: 'lost', maybeDelivered: true } }])
})

t.test('24 a WebSocket that throws, and content that has no JSON form', async (t) => {
  const world = new World()
  const { WebSocket } = world
  world.WebSocket = class {
    constructor() {
      throw new SyntaxError('no')
    }
  } as never
  const hub = world.connect({ token: () => 'token' })
  await world.settle()
  t.match(hub.state, { name: 'waiting' })
  world.WebSocket = WebSocket
  world.onSent = kindServer()
  await world.pass(2_000)
  t.equal(world.sockets.length, 1)
  hub.close()
  const other = new World()
  other.onSent = kindServer()
  const second = await other.open()
  const room = second.room('r')
  await t.rejects(room.publish(1n), TypeError)
  await t.rejects(room.publish(undefined), TypeError)
  const circle: { self?: unknown } = {}
  circle.self = circle
  await t.rejects(room.publish(circle), TypeError)
  await t.rejects(room.publish('x'.repeat(200_000)), { code: 'too_large' })
  t.match(await room.publish('good'), { scope: 'cluster' })
  second.close()
})

t.test('25 offline and online in a moment make one socket', async (t) => {
  const world = new World()
  world.onSent = kindServer()
  const hub = await world.open()
  world.socket.end()
  for (let n = 0; n < 3; n++) world.wake()
  await world.settle()
  t.equal(world.sockets.length, 2)
  world.socket.accept()
  for (let n = 0; n < 3; n++) world.wake()
  await world.pass(10_000)
  t.equal(world.sockets.length, 2)
  hub.close()
})

t.test('26 each room is joined once a connection', async (t) => {
  const world = new World()
  world.onSent = kindServer()
  const hub = world.connect()
  for (let n = 0; n < 5; n++) for (const name of ['a', 'b']) hub.room(name)
  await world.settle()
  world.socket.accept()
  hub.room('a')
  await world.settle()
  t.equal(world.socket.of('join').length, 2)
  world.socket.end()
  await world.pass(200)
  world.socket.accept()
  await world.pass(10_000)
  t.equal(world.socket.of('join').length, 2)
  hub.close()
})

t.test('27 clients come back spread over time', async (t) => {
  const waits = new Set<number>()
  for (const randomly of [0, 0.25, 0.5, 0.75]) {
    const world = new World()
    world.randomly = randomly
    const hub = await world.open()
    world.socket.end()
    t.match(hub.state, { name: 'waiting' })
    if (hub.state.name === 'waiting') waits.add(hub.state.retryInMs)
    hub.close()
  }
  t.strictSame([...waits], [50, 62.5, 75, 87.5])
})

t.test('28 while a node goes, the next connection is there before the old one is left', async (t) => {
  const world = new World()
  const play = kindServer()
  world.onSent = play
  const hub = await world.open()
  const room = hub.room('r')
  await world.settle()
  const seen: unknown[] = []
  room.on('message', ({ content }) => seen.push(content))
  const states: string[] = []
  hub.on('state', ({ name }) => states.push(name))
  const old = world.socket
  t.match(old.url, /handover=true/)
  old.message('r', 1)
  world.onSent = (envelope, socket) => {
    if (envelope.type === 'join' && socket !== old) return
    play(envelope, socket)
  }
  old.say({ type: 'closing', reconnectInMs: 500, handoverMs: 5_000 })
  await world.pass(600)
  const next = world.socket
  t.not(next, old)
  t.equal(old.closedWith, undefined, 'the old one goes on')
  old.message('r', 2)
  next.accept()
  await world.settle()
  const [join] = next.of('join')
  t.match(join, { room: 'r', since: { epoch: 'e', offset: 2 } })
  old.message('r', 3)
  const said = room.publish('held until the new one is joined')
  next.say({ type: 'joined', id: join?.id, room: 'r', epoch: 'e', offset: 3, recovered: true, missed: 1 })
  next.message('r', 3)
  next.message('r', 4)
  await world.settle()
  t.strictSame(seen, [1, 2, 3, 4], 'each once, in order')
  t.equal(old.closedWith, 1000)
  t.equal(next.of('message').length, 1)
  await said
  t.notOk(states.includes('waiting') || states.includes('connecting'), 'nobody was told of a gap')
  hub.close()
})

t.test('28 a loss in the middle of it is an ordinary loss', async (t) => {
  const world = new World()
  world.onSent = kindServer()
  const hub = await world.open()
  hub.room('r')
  await world.settle()
  const old = world.socket
  old.say({ type: 'closing', reconnectInMs: 500, handoverMs: 5_000 })
  await world.pass(600)
  world.socket.end()
  await world.settle()
  t.equal(hub.state.name, 'open', 'the old one still delivers')
  old.end(1001)
  await world.pass(1_000)
  world.socket.accept()
  await world.settle()
  t.equal(hub.state.name, 'open')
  t.ok(hub.room('r').isJoined)
  hub.close()
})

t.test('codes that say never, later, and when', async (t) => {
  for (const [code, reason, expected] of [
    [4403, 'revoked', { name: 'closed', why: 'revoked', code: 4403 }],
    [1009, 'message too big', { name: 'closed', code: 1009 }],
    [1002, '', { name: 'closed', why: 'ended with 1002' }],
    [4429, 'retry after 7 s', { name: 'waiting', retryInMs: 8750 }],
    [1013, 'too slow', { name: 'waiting', retryInMs: 750 }],
    [1011, '', { name: 'waiting', retryInMs: 750 }],
    [1000, '', { name: 'waiting', retryInMs: 75 }],
  ] as const) {
    const world = new World()
    const hub = await world.open({ token: () => 'token' })
    world.socket.end(code, reason)
    await world.settle()
    t.match(hub.state, expected, `${code} ${reason}`)
    hub.close()
  }
  const world = new World()
  const hub = await world.open()
  world.socket.say({ type: 'closing', reconnectInMs: 1234 })
  world.socket.end(1001)
  t.match(hub.state, { name: 'waiting', retryInMs: 1234 }, 'a node that goes says when')
  hub.close()
  const full = new World()
  full.fetch = (async () =>
    new Response('{}', { status: 503, headers: { 'retry-after': '5' } })) as typeof fetch
  const third = full.connect()
  await full.settle()
  full.socket.end()
  await full.settle()
  t.match(third.state, { name: 'waiting', retryInMs: 5000 }, 'so does a refusal')
  third.close()
})
