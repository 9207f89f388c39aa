// ../shared/cases/client.md, Messages and recovery: by number.
import t from 'tap'
import { kindServer, World } from './support/world.ts'

/** A hub in room `r`, at offset 0 of epoch `e`, and what the application sees. */
async function inRoom(options: object = {}, room: object = {}) {
  const world = new World()
  world.onSent = kindServer()
  const hub = await world.open(options)
  const seen: unknown[] = []
  const joins: unknown[] = []
  let reloads = 0
  const r = hub.room('r', { reload: () => void reloads++, ...room })
  r.on('message', ({ content }) => seen.push(content))
  r.on('joined', (joined) => joins.push(joined))
  await world.settle()
  return { world, hub, room: r, seen, joins, reloads: () => reloads }
}

t.test(
  '29 and 32 recovery works when nothing was received before the cut, however long that was',
  async (t) => {
    const { world, hub, joins } = await inRoom()
    await world.pass(3_600_000)
    world.socket.end()
    await world.pass(200)
    world.socket.accept()
    await world.settle()
    t.match(world.socket.of('join'), [{ since: { epoch: 'e', offset: 0 } }])
    t.match(joins, [{ recovered: true }, { recovered: true, missed: 0 }])
    hub.close()
  },
)

t.test('30 the position moves on with recovered messages', async (t) => {
  const { world, hub, seen } = await inRoom()
  world.onSent = () => {}
  world.socket.end()
  await world.pass(200)
  let socket = world.socket.accept()
  socket.say({
    type: 'joined',
    id: socket.of('join')[0]?.id,
    room: 'r',
    epoch: 'e',
    offset: 3,
    recovered: true,
    missed: 3,
  })
  socket.message('r', 1)
  socket.message('r', 2)
  // Cut among them.
  socket.end()
  await world.pass(200)
  socket = world.socket.accept()
  t.match(socket.of('join'), [{ since: { epoch: 'e', offset: 2 } }])
  socket.say({
    type: 'joined',
    id: socket.of('join')[0]?.id,
    room: 'r',
    epoch: 'e',
    offset: 3,
    recovered: true,
    missed: 1,
  })
  socket.message('r', 3)
  t.strictSame(seen, [1, 2, 3])
  hub.close()
})

t.test('31 content is content, whatever its fields are called', async (t) => {
  const { world, hub, seen } = await inRoom()
  const odd = { type: 'closing', offset: 99, epoch: 'x', room: 'other', id: 1 }
  world.socket.message('r', 1, odd)
  world.socket.message('r', 2, null)
  t.strictSame(seen, [odd, null])
  world.socket.end()
  await world.pass(200)
  world.socket.accept()
  t.match(world.socket.of('join'), [{ since: { epoch: 'e', offset: 2 } }])
  hub.close()
})

t.test(
  '33 it is never faster than the server allows, and a second connect recovers all the same',
  async (t) => {
    const { world, hub, joins } = await inRoom()
    world.socket.end()
    await world.pass(200)
    // The server has not noticed yet that the old one is gone.
    world.socket.accept()
    await world.settle()
    t.match(joins.at(-1), { recovered: true })
    hub.close()
  },
)

t.test('34 and 36 a publish in doubt is sent again with its key, and its promise settles', async (t) => {
  const { world, hub, room } = await inRoom()
  world.onSent = () => {}
  const said = room.publish('once')
  await world.settle()
  const [first] = world.socket.of('message')
  world.socket.end()
  await world.pass(200)
  world.onSent = (envelope, socket) => {
    if (envelope.type !== 'message') return kindServer(1)(envelope, socket)
    socket.say({ type: 'ack', id: envelope.id, room: 'r', scope: 'cluster', offset: 1, duplicate: true })
  }
  world.socket.accept()
  await world.settle()
  const [second] = world.socket.of('message')
  t.match(first?.key, /^[\d-]{20,64}$/)
  t.equal(second?.key, first?.key)
  t.strictSame(await said, { scope: 'cluster', offset: 1, duplicate: true })
  hub.close()
})

t.test(
  '34 a user without a name cannot be told by its key: then the promise says that it is in doubt',
  async (t) => {
    const world = new World()
    const hub = world.connect()
    await world.settle()
    world.onSent = (envelope, socket) => {
      if (envelope.type === 'join') kindServer()(envelope, socket)
    }
    world.socket.accept({ user: 'anonymous' })
    const room = hub.room('r')
    await world.settle()
    const said = room.publish(1)
    world.socket.end()
    await t.rejects(said, { code: 'lost', maybeDelivered: true, retry: true })
    hub.close()
  },
)

t.test('35 what was given up does not go out later', async (t) => {
  const { world, hub, room } = await inRoom({ queue: { ageMs: 5_000 } })
  world.socket.end()
  const said = room.publish('stale')
  const settled = t.rejects(said, { code: 'timeout', maybeDelivered: false })
  await world.pass(50)
  const silent = world.fetch
  t.ok(silent)
  await world.pass(10_000)
  await settled
  world.socket.accept()
  await world.settle()
  t.equal(world.socket.of('message').length, 0)
  hub.close()
})

t.test('37 what waits has bounds, and what is stale at once never waits', async (t) => {
  const { world, hub, room } = await inRoom({ queue: { messages: 3, bytes: 100 } })
  world.socket.end()
  await t.rejects(room.publish('cursor', { keep: false }), { code: 'offline' })
  const said = [room.publish(1), room.publish(2), room.publish(3)]
  await t.rejects(room.publish(4), { code: 'queue_full', retry: true, maybeDelivered: false })
  await world.pass(200)
  world.socket.accept()
  await world.settle()
  t.equal((await Promise.all(said)).length, 3)
  world.socket.end()
  const long = room.publish('x'.repeat(90))
  await t.rejects(room.publish('x'.repeat(20)), { code: 'queue_full' }, 'bytes count too')
  hub.close()
  await t.rejects(long, { code: 'closed' })
})

t.test('38 what is said before the join’s answer comes after it, in order', async (t) => {
  const world = new World()
  const play = kindServer()
  const hub = world.connect()
  const room = hub.room('r')
  const said = [1, 2, 3].map((content) => room.publish(content))
  await world.settle()
  world.onSent = (envelope, socket) => {
    if (envelope.type !== 'join') play(envelope, socket)
  }
  const socket = world.socket.accept()
  await world.settle()
  t.equal(socket.of('message').length, 0)
  play(socket.of('join')[0] as never, socket)
  await Promise.all(said)
  t.strictSame(
    socket.of('message').map(({ content }) => content),
    [1, 2, 3],
  )
  hub.close()
})

t.test('a jump in offsets is healed: nothing is missing, none comes twice', async (t) => {
  const { world, hub, seen, reloads } = await inRoom()
  const { socket } = world
  world.onSent = () => {}
  socket.message('r', 1)
  socket.message('r', 4)
  socket.message('r', 5)
  t.strictSame(seen, [1])
  const join = socket.of('join').at(-1)
  t.match(join, { since: { epoch: 'e', offset: 1 } })
  socket.say({ type: 'joined', id: join?.id, room: 'r', epoch: 'e', offset: 5, recovered: true, missed: 4 })
  for (const offset of [2, 3, 4, 5, 6]) socket.message('r', offset)
  t.strictSame(seen, [1, 2, 3, 4, 5, 6])
  t.equal(reloads(), 0)
  socket.say({ type: 'dropped', room: 'r', count: 2 })
  t.match(socket.of('join').at(-1), { since: { offset: 6 } }, 'so is what a slow client was not sent')
  hub.close()
})

t.test('what cannot be recovered is said: reload, and on from there', async (t) => {
  const { world, hub, seen, joins, reloads } = await inRoom()
  const { socket } = world
  world.onSent = () => {}
  socket.message('r', 1)
  socket.say({ type: 'reset', room: 'r', epoch: 'f', offset: 7 })
  const join = socket.of('join').at(-1)
  t.match(join, { since: { epoch: 'e', offset: 1 } }, 'the old position is shown')
  socket.message('r', 8)
  t.equal(reloads(), 0)
  socket.say({ type: 'joined', id: join?.id, room: 'r', epoch: 'f', offset: 8, recovered: false, missed: 0 })
  t.equal(reloads(), 1)
  t.match(joins.at(-1), { recovered: false })
  socket.message('r', 9)
  t.strictSame(seen, [1, 9])
  hub.close()
})

t.test('what came early, without its offset, is known again', async (t) => {
  const { world, hub, seen } = await inRoom()
  const { socket } = world
  socket.message('r', undefined, 'early', { at: 5 })
  socket.message('r', 1, 'early', { at: 5 })
  socket.message('r', 2, 'early', { at: 6 })
  t.strictSame(seen, ['early', 'early'])
  hub.close()
})

t.test(
  'last: the newest come first, then the live ones; own messages are shown, unless they are not wanted',
  async (t) => {
    for (const echo of [true, false]) {
      const world = new World()
      const hub = await world.open({ echo })
      const room = hub.room('r', { last: 2 })
      const seen: unknown[] = []
      room.on('message', ({ content }) => seen.push(content))
      await world.settle()
      const { socket } = world
      const [join] = socket.of('join')
      t.match(join, { last: 2 })
      socket.say({ type: 'joined', id: join?.id, room: 'r', epoch: 'e', offset: 9, missed: 2 })
      socket.message('r', 8)
      socket.message('r', 9)
      socket.message('r', 10, 'own', { from: { client: 'c1', user: 'ada' } })
      socket.message('r', 11)
      t.strictSame(seen, echo ? [8, 9, 'own', 11] : [8, 9, 11])
      hub.close()
    }
  },
)

t.test('too many frames: what was not read is sent again when the server says so', async (t) => {
  const { world, hub, room } = await inRoom()
  world.onSent = () => {}
  const said = room.publish('unread')
  const { socket } = world
  socket.say({ type: 'error', code: 'rate_limited', message: 'slow down', retryAfterMs: 800 })
  const more = room.publish('held')
  await world.pass(700)
  t.equal(socket.of('message').length, 1)
  world.onSent = kindServer()
  await world.pass(200)
  t.match(await Promise.all([said, more]), [{ offset: 1 }, { offset: 2 }])
  t.equal(socket.of('message')[1]?.key, socket.of('message')[0]?.key)
  hub.close()
})

t.test('a loop over a room reads what comes, and ends with it', async (t) => {
  const { world, hub, room } = await inRoom()
  const seen: unknown[] = []
  const loop = (async () => {
    for await (const { content } of room) if (seen.push(content) === 3) break
  })()
  const failing = (async () => {
    for await (const _ of room);
  })()
  await world.settle()
  for (const offset of [1, 2, 3, 4]) world.socket.message('r', offset)
  await loop
  t.strictSame(seen, [1, 2, 3])
  hub.close()
  await t.rejects(failing, { code: 'closed' })
  const other = await inRoom()
  const left = (async () => {
    for await (const _ of other.room);
  })()
  await other.world.settle()
  other.room.leave()
  await left
  t.match(other.world.socket.of('leave'), [{ room: 'r' }])
  const slow = other.hub.room('s')[Symbol.asyncIterator]()
  const first = slow.next()
  await other.world.settle()
  for (let n = 0; n <= 10_001; n++) other.world.socket.message('s', n + 1)
  await first
  let read = 0
  await t.rejects(
    (async () => {
      while (!(await slow.next()).done) read++
    })(),
    { code: 'overflow' },
  )
  t.ok(read > 9_000)
  other.hub.close()
})

t.test('presence: the list is kept up to date', async (t) => {
  const { world, hub, room } = await inRoom({}, { presence: true })
  const { socket } = world
  t.match(socket.of('join'), [{ presence: true }])
  socket.say({ type: 'presence', room: 'r', count: 1, users: [{ user: 'ada', clients: 2 }] })
  socket.say({ type: 'member', room: 'r', count: 2, entered: [{ user: 'bob', info: { name: 'Bob' } }] })
  t.match(room.users, [{ user: 'ada' }, { user: 'bob', info: { name: 'Bob' } }])
  socket.say({ type: 'member', room: 'r', count: 1, left: ['ada'] })
  t.match(room.users, [{ user: 'bob' }])
  t.equal(room.count, 1)
  socket.say({ type: 'member', room: 'r', count: 5000 })
  t.equal(room.users, undefined, 'too many for a list')
  t.equal(room.count, 5000)
  hub.close()
})

t.test('a listener that throws stops nobody else', async (t) => {
  const { world, hub, room, seen } = await inRoom()
  const thrown: Error[] = []
  process.once('uncaughtException', (error) => thrown.push(error))
  room.on('message', () => {
    throw new Error('the page’s own')
  })
  room.on('message', () => seen.push('another'))
  world.socket.message('r', 1)
  await world.settle()
  t.strictSame(seen, [1, 'another'])
  t.match(thrown, [{ message: 'the page’s own' }])
  hub.close()
})

t.test('calls: an answer, an error, a loss, and silence', async (t) => {
  const world = new World()
  world.onSent = kindServer()
  const hub = world.connect()
  const early = hub.call('orders.cancel', { id: 7 })
  await world.settle()
  const { socket } = world
  socket.accept()
  t.strictSame(await early, { id: 7 }, 'one that waits for the first connection')
  world.onSent = ({ type, id }, to) => {
    if (type === 'call') to.say({ type: 'error', id, code: 'refused', message: 'not yours' })
  }
  await t.rejects(hub.call('x'), { code: 'refused', message: 'not yours', retry: false })
  world.onSent = ({ type, id }, to) => {
    if (type === 'ping') to.say({ type: 'pong', id })
  }
  const silent = t.rejects(hub.call('x'), { code: 'timeout', maybeDelivered: true })
  await world.pass(10_100)
  await silent
  const lost = t.rejects(hub.call('x'), { code: 'lost', maybeDelivered: true })
  await world.settle()
  socket.end()
  await lost
  hub.close()
  await t.rejects(hub.call('x'), { code: 'closed' })
})
