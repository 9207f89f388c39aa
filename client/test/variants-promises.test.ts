// Kinds of the 40 cases that are not in their words: each promise settles, and nothing is lost, late, or twice.
import t from 'tap'
import { ending, kindServer, World } from './support/world.ts'

t.test('36 history asked for while the connection is away is rejected at once', async (t) => {
  const world = new World()
  world.onSent = kindServer()
  const hub = await world.open()
  const room = hub.room('r')
  await world.settle()
  world.socket.end()
  t.match(hub.state, { name: 'waiting' })
  t.match(await ending(world, room.history()), { code: 'offline', retry: true })
  hub.close()
  t.match(await ending(world, room.history()), { code: 'closed', retry: false })
})

t.test('36 history that the server never answers is given up', async (t) => {
  const world = new World()
  world.onSent = kindServer()
  const hub = await world.open()
  const room = hub.room('r')
  await world.settle()
  const asked = room.history()
  asked.catch(() => {})
  await world.pass(11_000)
  t.match(await ending(world, asked), { code: 'timeout' })
  hub.close()
})

t.test('2 a call that was on its way when the page slept is not given up', async (t) => {
  const world = new World()
  world.onSent = kindServer()
  const hub = await world.open()
  world.onSent = ({ type, id }, to) => {
    if (type === 'ping') to.say({ type: 'pong', id })
  }
  const called = hub.call('slow')
  called.catch(() => {})
  await world.settle()
  await world.sleep(600_000)
  const [call] = world.socket.of('call')
  world.socket.say({ type: 'result', id: call?.id, result: 7 })
  t.match(await ending(world, called), { value: 7 })
  hub.close()
})

t.test('what is as large as the server takes, but for its envelope, does not end the hub', async (t) => {
  const world = new World()
  world.onSent = kindServer()
  const hub = await world.open()
  const { socket } = world
  const room = hub.room('r')
  await world.settle()
  t.match(await ending(world, room.publish('x'.repeat(100_000 - 20))), { code: 'too_large', retry: false })
  t.match(await ending(world, hub.call('m', 'x'.repeat(200_000))), { code: 'too_large', retry: false })
  t.match(await ending(world, room.publish('x'.repeat(99_000))), { value: { scope: 'cluster' } })
  t.ok(socket.sent.every((envelope) => JSON.stringify(envelope).length <= 100_000))
  hub.close()
})

t.test('what was too large is not sent after it has waited for the first connection', async (t) => {
  const world = new World()
  world.onSent = kindServer()
  const hub = world.connect()
  const room = hub.room('r')
  const [large, small] = [room.publish('x'.repeat(200_000)), room.publish('small')]
  large.catch(() => {})
  await world.settle()
  world.socket.accept()
  t.match(await ending(world, large), { code: 'too_large', maybeDelivered: false })
  t.match(await ending(world, small), { value: { scope: 'cluster' } })
  t.equal(world.socket.of('message').length, 1)
  hub.close()
})

t.test('too many frames, then a cut: what waits goes out when the time is over', async (t) => {
  const world = new World()
  world.onSent = kindServer()
  const hub = await world.open()
  const room = hub.room('r')
  await world.settle()
  world.socket.say({ type: 'error', code: 'rate_limited', message: 'slow down', retryAfterMs: 2_000 })
  const said = room.publish('held')
  said.catch(() => {})
  world.socket.end()
  await world.pass(200)
  world.socket.accept()
  await world.pass(2_500)
  t.match(await ending(world, said), { value: { scope: 'cluster' } })
  hub.close()
})

t.test('too many frames: a timer that fires a moment early holds nothing back for ever', async (t) => {
  const world = new World()
  world.onSent = kindServer()
  const { setTimeout } = world
  Object.assign(world, { setTimeout: (then: () => void, ms: number) => setTimeout(then, ms - 0.6) })
  const hub = await world.open()
  const room = hub.room('r')
  await world.settle()
  world.socket.say({ type: 'error', code: 'rate_limited', message: 'slow down', retryAfterMs: 800 })
  const said = room.publish('held')
  said.catch(() => {})
  await world.pass(1_000)
  t.match(await ending(world, said), { value: { scope: 'cluster' } })
  hub.close()
})

t.test('35 and 36 who was removed, or has left, is told so at once', async (t) => {
  const world = new World()
  world.onSent = kindServer()
  const hub = await world.open()
  const [removed, left] = [hub.room('removed'), hub.room('left')]
  await world.settle()
  world.socket.say({ type: 'left', room: 'removed', reason: 'removed' })
  left.leave()
  t.match(await ending(world, removed.publish(1)), { code: 'forbidden', retry: false })
  t.match(await ending(world, left.publish(1)), { code: 'closed', retry: false })
  hub.close()
})

t.test('a loop over a room that is left, or of a closed hub, ends', async (t) => {
  const world = new World()
  world.onSent = kindServer()
  const hub = await world.open()
  const [left, open] = [hub.room('left'), hub.room('open')]
  await world.settle()
  left.leave()
  t.match(await ending(world, left[Symbol.asyncIterator]().next()), { value: { done: true } })
  hub.close()
  t.match(await ending(world, open[Symbol.asyncIterator]().next()), { code: 'closed' })
  t.match(await ending(world, hub.room('new')[Symbol.asyncIterator]().next()), { code: 'closed' })
})

t.test('close() rejects a call that waits for a connection as closed', async (t) => {
  const world = new World()
  const hub = world.connect()
  const called = hub.call('x')
  called.catch(() => {})
  await world.settle()
  hub.close()
  t.match(await ending(world, called), { code: 'closed', retry: false })
})

t.test('37 what is stale at once does not wait behind others either', async (t) => {
  const world = new World()
  world.onSent = kindServer()
  const hub = await world.open()
  const room = hub.room('r')
  await world.settle()
  world.onSent = () => {}
  for (let n = 0; n < 64; n++) room.publish(n).catch(() => {})
  const cursor = room.publish('cursor', { keep: false })
  cursor.catch(() => {})
  await world.settle()
  world.socket.end()
  t.match(await ending(world, cursor), { code: 'lost' })
  await world.pass(200)
  world.onSent = kindServer()
  world.socket.accept()
  await world.settle()
  t.equal(world.socket.of('message').filter(({ content }) => content === 'cursor').length, 0)
  hub.close()
})

t.test('34 a key that the server has forgotten is not tried again', async (t) => {
  const world = new World()
  world.onSent = kindServer()
  const hub = await world.open({ queue: { ageMs: 3_600_000 } })
  const room = hub.room('r')
  await world.settle()
  world.onSent = () => {}
  const said = room.publish('once')
  said.catch(() => {})
  await world.settle()
  world.socket.end()
  world.WebSocket = class {
    constructor() {
      throw new Error('no network')
    }
  } as never
  await world.pass(310_000)
  t.match(await ending(world, said), { code: 'timeout', maybeDelivered: true })
  hub.close()
})

t.test('28 what is said to everybody while a node goes comes once', async (t) => {
  const world = new World()
  const play = kindServer()
  world.onSent = play
  const hub = await world.open()
  hub.room('r')
  await world.settle()
  const seen: unknown[] = []
  hub.on('message', ({ content }) => seen.push(content))
  const [old, next] = await world.drain()
  world.onSent = (envelope, socket) => {
    if (envelope.type !== 'join' || socket === old) play(envelope, socket)
  }
  next.accept()
  await world.settle()
  const said = (content: string, at: number) => ({
    ...{ type: 'message', content, at, from: { client: 'n', user: 'server', app: true } },
  })
  for (const socket of [old, next]) socket.say(said('both', 1))
  next.say(said('the new one is faster', 2))
  old.say(said('the new one is faster', 2))
  for (const socket of [old, next]) socket.say(said('both', 3))
  play(next.of('join')[0] as never, next)
  await world.settle()
  t.equal(old.closedWith, 1000)
  for (let n = 0; n < 2; n++) next.say(said('twice in truth', 4))
  t.strictSame(seen, ['both', 'the new one is faster', 'both', 'twice in truth', 'twice in truth'])
  hub.close()
})

t.test('28 a link that is lost while the old one still is there: publishes go on by that', async (t) => {
  const world = new World()
  const play = kindServer()
  world.onSent = play
  const hub = await world.open()
  const room = hub.room('r')
  await world.settle()
  const [old] = await world.drain()
  world.onSent = (envelope, socket) => {
    if (socket === old) play(envelope, socket)
  }
  world.socket.accept()
  await world.settle()
  world.socket.end()
  await world.settle()
  const said = room.publish('by the old one')
  said.catch(() => {})
  const asked = hub.call('x', 3)
  asked.catch(() => {})
  t.match(await ending(world, said), { value: { scope: 'cluster' } })
  t.match(await ending(world, asked), { value: 3 })
  hub.close()
})

t.test('a reload that throws stops nothing else', async (t) => {
  const world = new World()
  world.onSent = kindServer()
  const hub = await world.open()
  const thrown: Error[] = []
  const room = hub.room('r', {
    reload: () => {
      throw new Error('the page’s own')
    },
  })
  const joins: boolean[] = []
  room.on('joined', ({ recovered }) => joins.push(recovered))
  await world.settle()
  const play = world.onSent
  world.onSent = (envelope, socket) => {
    if (envelope.type !== 'join') return play(envelope, socket)
    socket.say({
      ...{ type: 'joined', id: envelope.id, room: 'r', epoch: 'f', offset: 9, recovered: false, missed: 0 },
    })
  }
  world.socket.end()
  const said = room.publish('waits')
  said.catch(() => {})
  process.once('uncaughtException', (error) => thrown.push(error))
  await world.pass(200)
  try {
    world.socket.accept()
  } catch (error) {
    thrown.push(error as Error)
  }
  await world.settle()
  t.strictSame(joins, [true, false])
  t.match(await ending(world, said), { value: { scope: 'cluster' } })
  t.match(thrown, [{ message: 'the page’s own' }])
  hub.close()
})

t.test('26 a join that the server cannot do now is not asked for with each message', async (t) => {
  const world = new World()
  world.onSent = kindServer()
  const hub = await world.open()
  hub.room('r')
  await world.settle()
  const { socket } = world
  const play = world.onSent
  world.onSent = (envelope, to) => {
    if (envelope.type !== 'join') return play(envelope, to)
    to.say({ type: 'error', id: envelope.id, room: 'r', code: 'unavailable', message: 'not now' })
  }
  socket.message('r', 1)
  for (let offset = 3; offset < 50; offset++) {
    socket.message('r', offset)
    await world.settle()
  }
  t.ok(socket.of('join').length <= 3, `${socket.of('join').length} joins`)
  hub.close()
})

t.test('38 what is stale at once waits for the join that is under way, also while a node goes', async (t) => {
  const world = new World()
  const play = kindServer()
  world.onSent = () => {}
  const hub = await world.open()
  const room = hub.room('r')
  const early = room.publish('cursor', { keep: false })
  await world.settle()
  const old = world.socket
  t.equal(old.of('message').length, 0)
  world.onSent = play
  play(old.of('join')[0] as never, old)
  t.match(await ending(world, early), { value: { scope: 'cluster' } })
  world.onSent = (envelope, socket) => {
    if (envelope.type !== 'join') play(envelope, socket)
  }
  old.say({ type: 'closing', reconnectInMs: 100, handoverMs: 5_000 })
  await world.pass(150)
  const next = world.socket.accept()
  const late = room.publish('cursor', { keep: false })
  await world.settle()
  play(next.of('join')[0] as never, next)
  t.match(await ending(world, late), { value: { scope: 'cluster' } })
  hub.close()
})
