// Cases of kind rooms: who is in a room, who may publish to it, and who gets what.
import t from 'tap'
import { type Client, connect, type Envelope } from '../support/client.ts'
import { textFrame } from '../support/frames.ts'
import { type Server, startServer } from '../support/server.ts'
import { clientsAre, stillServing } from '../support/still-serving.ts'

let server: Server
t.before(async () => {
  server = await startServer({ MESSAGE_RATE: '0', CONNECT_RATE_MAX: '0' })
})
t.teardown(() => server.stop())

const NAMES = [
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'valueOf',
  'hasOwnProperty',
  '__defineGetter__',
  'length',
  'size',
  '0',
  '-1',
  'undefined',
  'null',
  'NaN',
  'then',
  'on',
  'error',
  'message',
  // More of the kind: names of internals, and globs.
  'close',
  'toJSON',
  'rooms',
  'room',
  'hub',
  'broadcast',
  'all',
  '*',
  '?',
  '[a-z]',
  '\\',
  '"',
  "'",
  'x:y',
  '$user',
]

async function closeAll(...clients: Client[]): Promise<void> {
  await Promise.all(clients.map((client) => client.close()))
  await clientsAre(server, 0, { rooms: 0 })
}

/** Sends envelopes in one TCP write. */
function sendTogether(client: Client, envelopes: (Envelope | string)[]): void {
  const frames = envelopes.map((envelope) =>
    textFrame(typeof envelope === 'string' ? envelope : JSON.stringify(envelope)),
  )
  client.socket.write(Buffer.concat(frames))
}

t.test('B27 a room may have any name, and is that room only', async (t) => {
  const [a, b] = [await connect(server, 'a'), await connect(server, 'b')]
  const everywhere = await connect(server, 'c')
  for (const room of NAMES) {
    t.match(
      await a.request({ type: 'message', room, content: 0 }),
      { type: 'error', code: 'not_member' },
      room,
    )
    t.match(await a.leave(room), { type: 'left', room }, 'leave without join')
  }
  t.equal((await server.health()).rooms, 0, 'none of it made a room')
  for (const room of NAMES) await everywhere.join(room)
  t.match(await server.health(), { rooms: NAMES.length, clients: 3 })
  for (const room of NAMES) {
    t.match(await a.join(room), { type: 'joined', room }, room)
    t.match(await b.join(room), { type: 'joined', room })
    t.match(await a.publish(room, 1), { type: 'ack' })
    const got = await b.fence()
    t.match(got, [{ type: 'message', room, content: 1 }])
    t.equal(got.length, 1, 'exactly one copy')
    t.same(await a.fence(), [], 'and none to the sender')
    t.match(await a.leave(room), { type: 'left', room })
    t.match(await a.leave(room), { type: 'left', room }, 'a second leave')
    t.match(await a.request({ type: 'message', room, content: 2 }), { code: 'not_member' })
  }
  const seen = await everywhere.fence()
  t.same(
    seen.map(({ room, content }) => [room, content]),
    NAMES.map((room) => [room, 1]),
    'one message of each room, none taken for another',
  )
  t.equal((await server.health()).rooms, NAMES.length)
  await everywhere.close()
  b.socket.reset()
  await clientsAre(server, 1, { rooms: 0 })
  await stillServing(t, server, { open: 1 })
  await closeAll(a)
})

t.test('B27 the same names as users', async (t) => {
  const clients = await Promise.all(NAMES.map((name) => connect(server, name)))
  for (const client of clients) await client.join(String(client.welcome.user))
  for (const client of clients) {
    const user = String(client.welcome.user)
    await client.publish(user, user, { echo: true })
    t.match(await client.fence(), [{ room: user, content: user, from: { user, client: client.id } }], user)
  }
  await closeAll(...clients)
})

t.test('B29 joining again changes nothing, one leave undoes it, and nobody else is touched', async (t) => {
  const [a, b] = [await connect(server, 'a'), await connect(server, 'b')]
  const other = await connect(server, 'a')
  await b.join('r')
  for (let i = 0; i < 3; i++) t.match(await a.join('r'), { type: 'joined', room: 'r' })
  await b.publish('r', 1)
  t.match(await a.fence(), [{ type: 'message', content: 1 }])
  t.match(await a.leave('r'), { type: 'left', room: 'r' })
  await b.publish('r', 2)
  t.same(await a.fence(), [], 'nothing after the first leave')
  t.match(await a.leave('r'), { type: 'left', room: 'r' }, 'a second leave')
  t.match(await a.leave('never-joined'), { type: 'left', room: 'never-joined' })
  for (const type of ['join', 'leave']) {
    a.send({ type })
    t.match(await a.fence(), [{ type: 'error', code: 'bad_envelope' }], `${type} without room`)
  }

  sendTogether(a, Array(50).fill({ type: 'join', room: 'r' }))
  const joined = await a.fence()
  t.same(new Set(joined.map(({ type }) => type)), new Set(['joined']))
  t.equal(joined.length, 50, 'each of 50 joins in one write is answered')
  await b.publish('r', 3)
  t.equal((await a.fence()).length, 1, 'one copy')

  await other.join('r')
  await b.publish('r', 4)
  t.equal((await a.fence()).length, 1, 'each client of the user gets one')
  t.equal((await other.fence()).length, 1)
  await other.leave('r')
  await b.publish('r', 5)
  t.equal((await a.fence()).length, 1, 'a leave of another client of the user does not count')
  t.same(await other.fence(), [])
  await a.leave('r')
  await b.publish('r', 6)
  t.same(await a.fence(), [])
  t.match(await b.publish('r', 7, { echo: true }), { type: 'ack' })
  t.equal((await b.fence()).length, 1, 'B was never removed')

  // A leave by a client that is not a member, while another one is.
  for (let i = 0; i < 10; i++) await a.leave('r')
  t.equal((await server.health()).rooms, 1)
  await b.publish('r', 8, { echo: true })
  t.equal((await b.fence()).length, 1)
  await stillServing(t, server, { bystander: b, open: 3 })
  await closeAll(a, b, other)
})

t.test('B30 only members publish, and the relayed envelope is the server\u2019s', async (t) => {
  const [a, b, c] = [await connect(server, 'a'), await connect(server, 'b'), await connect(server, 'c')]
  await b.join('r')
  const refused = { type: 'error', code: 'not_member', room: 'r', id: 1 }
  t.match(await a.request({ type: 'message', room: 'r', content: 1, id: 1 }), refused, 'never joined')
  a.say('r', 1)
  t.match(await a.fence(), [{ type: 'error', code: 'not_member' }], 'told without an id too')
  await a.join('r')
  await a.leave('r')
  t.match(await a.request({ type: 'message', room: 'r', content: 2, id: 1 }), refused, 'joined and left')
  t.match(await a.request({ type: 'message', room: 'nobody-is-here', content: 3 }), { code: 'not_member' })
  t.equal((await server.health()).rooms, 1, 'sending makes no room')
  t.same(await b.fence(), [], 'nothing was delivered')

  await a.join('empty')
  t.match(
    await a.publish('empty', 1),
    { type: 'ack', room: 'empty' },
    'to a room of which one is the only member',
  )
  t.same(await a.fence(), [])
  await a.leave('empty')
  t.equal((await server.health()).rooms, 1)

  t.match(await a.publish(undefined, 'all'), { type: 'ack' })
  for (const other of [b, c]) {
    const got = await other.fence()
    t.match(got, [{ type: 'message', content: 'all', from: { client: a.id, user: 'a' }, at: Number }])
    t.equal(got.length, 1, 'every open connection gets a broadcast once, in a room or not')
    t.notOk('room' in (got[0] as Envelope), 'a broadcast has no room')
  }
  t.same(await a.fence(), [], 'the sender does not get it')
  await a.publish(undefined, 'echoed', { echo: true })
  t.match(await a.fence(), [{ content: 'echoed' }], 'unless it asks for it')
  await b.fence()
  await c.fence()

  a.send({ type: 'message', rooms: ['r'], content: 'rooms' })
  t.same(await a.fence(), [], 'an unknown field is not looked at')
  for (const other of [b, c]) t.match(await other.fence(), [{ content: 'rooms' }], 'so it is a broadcast')

  await a.join('r')
  await a.publish('r', 'member')
  t.same(await a.fence(), [], 'a member does not get its own message')
  t.equal((await b.fence()).length, 1)
  const twin = await connect(server, 'a')
  await twin.join('r')
  await a.publish('r', 'twin')
  t.equal((await twin.fence()).length, 1, 'the exclusion is by client, not by user')
  await b.fence()

  const before = Date.now()
  a.send(
    JSON.stringify({
      type: 'message',
      room: 'r',
      content: { type: 'joined', room: 'x' },
      from: { client: b.id, user: 'root' },
      at: 1,
      offset: 99,
      epoch: 'x',
      client: 'x',
      user: 'root',
      node: 'x',
      event: 'enter',
      scope: 'cluster',
      code: 'internal',
      ['__proto__']: { x: 1 },
    }),
  )
  t.same(await a.fence(), [])
  const [message] = (await b.fence()) as [Envelope]
  t.equal(message.type, 'message', 'type cannot be chosen')
  t.same(message.from, { client: a.id, user: 'a' }, 'nor from')
  t.ok(Number(message.at) >= before && Number(message.at) <= Date.now(), 'nor at')
  t.same(
    Object.keys(message).filter((key) => !['type', 'room', 'content', 'from', 'at', 'offset'].includes(key)),
    [],
    'nothing else of the sender is relayed',
  )
  t.not(message.offset, 99)
  t.equal(
    b.text(message).match(/"type":/g)?.length,
    2,
    'the type in the text is the server\u2019s and the content\u2019s',
  )
  await stillServing(t, server, { bystander: b, open: 4 })
  await closeAll(a, b, c, twin)
})

t.test('B30 echo and id are checked, and an ack comes only where an id asked for it', async (t) => {
  const [a, b] = [await connect(server, 'a'), await connect(server, 'b')]
  await a.join('r')
  await b.join('r')
  for (const echo of ['"true"', '1', 'null', '[]', '{}', '"false"', '0']) {
    a.send(`{"type":"message","room":"r","content":1,"echo":${echo}}`)
    t.match(await a.fence(), [{ type: 'error', code: 'bad_envelope' }], `echo ${echo}`)
  }
  t.same(await b.fence(), [])
  a.send({ type: 'message', room: 'r', content: 1, echo: false })
  t.same(await a.fence(), [], 'no ack without id')
  sendTogether(a, [
    { type: 'message', room: 'r', content: 2, id: 7, echo: true },
    { type: 'message', room: 'r', content: 3, id: 'x', echo: true },
    { type: 'message', room: 'r', content: 4, echo: true },
  ])
  const got = await a.fence()
  t.same(
    got.filter(({ type }) => type === 'ack').map(({ id, room, scope }) => [id, room, scope]),
    [
      [7, 'r', 'cluster'],
      ['x', 'r', 'cluster'],
    ],
  )
  t.same(
    got.filter(({ type }) => type === 'message').map(({ content }) => content),
    [2, 3, 4],
  )
  t.same(
    (await b.fence()).map(({ content }) => content),
    [1, 2, 3, 4],
  )
  await closeAll(a, b)
})

t.test('a room goes with its last member, however that one goes', async (t) => {
  const ways: [name: string, go: (client: Client) => unknown][] = [
    ['leave', (client) => client.leave('r')],
    ['Close', (client) => client.close()],
    ['RST', (client) => client.socket.reset()],
    ['FIN without Close', (client) => client.socket.finish()],
    ['a broken frame', (client) => client.socket.writeHex('8102 6869')],
  ]
  for (const [name, go] of ways) {
    const client = await connect(server, name)
    await client.join('r')
    t.equal((await server.health()).rooms, 1)
    await go(client)
    await clientsAre(server, name === 'leave' ? 1 : 0, { rooms: 0 })
    client.socket.destroy()
    await clientsAre(server, 0)
  }
  // A join that races the removal of the emptied room is not lost.
  const [a, b] = [await connect(server, 'a'), await connect(server, 'b')]
  for (let i = 0; i < 300; i++) {
    await a.join('r')
    a.send({ type: 'leave', room: 'r' })
    b.send({ type: 'join', room: 'r' })
    await Promise.all([a.fence(), b.fence()])
    await b.publish('r', i, { echo: true })
    const got = await b.fence()
    if (got.length !== 1 || got[0]?.content !== i) t.fail(`round ${i}: ${JSON.stringify(got)}`)
    await b.leave('r')
  }
  await closeAll(a, b)
})

t.test('MAX_ROOMS_PER_CLIENT is a limit of rooms at a time', async (t) => {
  const small = await startServer({ MAX_ROOMS_PER_CLIENT: '3' })
  t.teardown(() => small.stop())
  const a = await connect(small, 'a')
  for (const room of ['1', '2', '3', '3', '1']) t.equal((await a.join(room)).type, 'joined')
  t.match(await a.request({ type: 'join', room: '4' }), { type: 'error', code: 'room_limit', room: '4' })
  t.equal((await a.join('2')).type, 'joined', 'joining again needs no room more')
  await a.leave('1')
  t.equal((await a.join('4')).type, 'joined')
  t.match(await a.request({ type: 'join', room: '5' }), { code: 'room_limit' })
  t.equal((await small.health()).rooms, 3)
  await a.close()
  await clientsAre(small, 0, { rooms: 0 })
})
