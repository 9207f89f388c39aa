// Tokens over time: rooms joined at connect, and a new token without a new connection.
import t from 'tap'
import { encodePositions } from '../../src/protocol/positions.ts'
import { type Client, connect, type Envelope } from '../support/client.ts'
import { RawSocket } from '../support/raw-socket.ts'
import { type Server, startServer } from '../support/server.ts'
import { clientsAre } from '../support/still-serving.ts'
import { nowS, signText, tokenFor } from '../support/token.ts'

let server: Server
t.before(async () => {
  server = await startServer({ MAX_ROOMS_PER_CLIENT: '5', MAX_NESTING: '16' })
})
t.teardown(() => server.stop())

const rooms = (envelopes: Envelope[]) => envelopes.map(({ type, room }) => `${type} ${room}`)
const closeAll = (...clients: Client[]) => Promise.all(clients.map((client) => client.close()))

t.test('the rooms of a token are joined at connect, in their order, ahead of what is asked', async (t) => {
  const names = ['b', 'a', '__proto__']
  const socket = await RawSocket.upgrade(server, `/ws?token=${tokenFor('ada', { rooms: names })}`)
  socket.destroy()
  const ada = await connect(server, 'ada', { rooms: ['b', 'a', 'b', '__proto__'] })
  t.match(ada.welcome, { rooms: names, expiresInMs: Number })
  t.ok((ada.welcome.expiresInMs as number) > 3_500_000)
  t.strictSame(rooms(await ada.fence()), ['joined b', 'joined a', 'joined __proto__'])
  t.notOk(
    ada.received.some(({ type, id, recovered }) => type === 'joined' && (id ?? recovered) !== undefined),
    'no id, and recovered is for those who ask',
  )
  const bob = await connect(server, 'bob', { rooms: ['a'] })
  await bob.publish('a', 'hello')
  t.match(await ada.next('message'), { room: 'a', content: 'hello' })
  await closeAll(ada, bob)
})

t.test('what a client sends before its rooms are joined waits for them', async (t) => {
  const token = tokenFor('ada', { rooms: ['one', 'two'] })
  // In one piece with the upgrade: nothing could be sent sooner.
  const ada = await connect(server, 'ada', {}, { token })
  ada.send({ type: 'message', room: 'two', content: 1, id: 'm' })
  t.strictSame(
    (await ada.collectUntil('ack')).map(({ type }) => type),
    ['joined', 'joined', 'ack'],
  )
  await ada.close()
})

t.test('rooms beyond the limit of rooms are refused one by one', async (t) => {
  const ada = await connect(server, 'ada', { rooms: ['1', '2', '3', '4', '5', '6', '7'] })
  const answers = await ada.fence()
  t.strictSame(rooms(answers.slice(0, 5)), ['joined 1', 'joined 2', 'joined 3', 'joined 4', 'joined 5'])
  t.match(answers.slice(5), [
    { type: 'error', code: 'room_limit', room: '6' },
    { type: 'error', code: 'room_limit', room: '7' },
  ])
  await ada.close()
})

t.test('a token whose rooms or info break a rule is refused', async (t) => {
  for (const claims of [
    { rooms: ['a', 'b'], can: { join: ['a'] } },
    { rooms: ['x'.repeat(129)] },
    { rooms: Array(101).fill('a') },
    { info: 'x'.repeat(1023) },
    { info: JSON.parse('['.repeat(17) + ']'.repeat(17)) },
    { jti: '' },
    { iat: 'yesterday' },
  ]) {
    const socket = await RawSocket.upgrade(server, `/ws?token=${tokenFor('ada', claims)}`)
    t.equal(socket.response?.status, 401, JSON.stringify(claims).slice(0, 60))
    socket.destroy()
  }
  // As deep as a request's head can hold.
  const deep = signText(`{"sub":"ada","exp":${nowS() + 60},"info":${'['.repeat(5500)}${']'.repeat(5500)}}`)
  const socket = await RawSocket.upgrade(server, `/ws?token=${deep}`)
  t.equal(socket.response?.status, 401)
  socket.destroy()
  const info = { name: 'Ada', tags: ['\u20ac'.repeat(100)] }
  await closeAll(await connect(server, 'ada', { info, jti: 'j', iat: nowS() }))
})

t.test('since in the query recovers the rooms of the token, each from its position', async (t) => {
  const bob = await connect(server, 'bob', { rooms: ['r', 's', 'other'] })
  const [r, s, other] = (await bob.fence()) as [Envelope, Envelope, Envelope]
  const position = (joined: Envelope, offset: number) => ({ epoch: String(joined.epoch), offset })
  for (const room of ['r', 's', 'other']) for (const n of [1, 2]) await bob.publish(room, n)
  const back = (since: string, names = ['s', 'r', 'new']) =>
    connect(server, 'ada', {}, { token: `${tokenFor('ada', { rooms: names })}&since=${since}` })

  const since = encodePositions([
    ['r', position(r, 0)],
    ['r', position(r, 1)],
    ['s', position(s, 0)],
    ['other', position(other, 0)],
  ])
  const ada = await back(since)
  const got = await ada.fence()
  t.match(got, [
    { type: 'joined', room: 's', recovered: true, missed: 2, offset: 2 },
    { type: 'message', room: 's', offset: 1 },
    { type: 'message', room: 's', offset: 2 },
    { type: 'joined', room: 'r', recovered: true, missed: 1, offset: 2 },
    { type: 'message', room: 'r', offset: 2 },
    { type: 'joined', room: 'new', recovered: undefined },
  ])
  await ada.close()

  const lost = encodePositions([['r', { epoch: 'of another life', offset: 1 }]])
  const late = await back(lost, ['r', 's'])
  t.match(await late.fence(), [
    { type: 'joined', room: 'r', recovered: false, missed: 0, offset: 2 },
    { type: 'joined', room: 's', recovered: undefined },
  ])
  await late.close()

  for (const [what, text] of Object.entries({
    nothing: '',
    'no base64': '!!!',
    'no JSON': Buffer.from('{').toString('base64url'),
    'no list': Buffer.from('{"r":1}').toString('base64url'),
    'bad position': Buffer.from('[["r",5,1]]').toString('base64url'),
    'bad room': Buffer.from('[["","e",1]]').toString('base64url'),
    'no UTF-8': Buffer.from([0x5b, 0x22, 0xff, 0x22, 0x5d]).toString('base64url'),
    'too long': 'A'.repeat(8193),
    'two of them': `${since}&since=${since}`,
  })) {
    const client = await back(text, ['r', 's'])
    t.match(
      await client.fence(),
      [
        { type: 'joined', room: 'r', recovered: false, missed: 0 },
        { type: 'joined', room: 's', recovered: false, missed: 0 },
      ],
      what,
    )
    await client.close()
  }
  await bob.close()
})

t.test('a refreshed token has its own permissions, and rooms that it lacks are left', async (t) => {
  const ada = await connect(server, 'ada', { can: { join: ['a', 'b', 'c'], publish: ['a', 'b'] } })
  for (const room of ['a', 'b', 'c']) await ada.join(room)
  const bob = await connect(server, 'bob', { rooms: ['a', 'b'] })
  await bob.fence()
  const exp = nowS() + 7200
  const token = tokenFor('ada', { exp, rooms: ['d'], can: { join: ['b', 'd'], publish: ['d'] } })
  ada.send({ type: 'message', room: 'a', content: 'the old token', id: 1 })
  ada.send({ type: 'refresh', token, id: 2 })
  ada.send({ type: 'message', room: 'b', content: 'the new token', id: 3 })
  ada.send({ type: 'message', room: 'a', content: 'left', id: 4 })
  const answers = await ada.collectUntil(({ id }) => id === 4)
  t.match(answers, [
    { type: 'ack', id: 1 },
    { type: 'refreshed', id: 2, expiresAt: exp * 1000, expiresInMs: Number },
    { type: 'left', room: 'a', reason: 'forbidden' },
    { type: 'left', room: 'c', reason: 'forbidden' },
    { type: 'error', code: 'forbidden', id: 3 },
    { type: 'error', code: 'not_member', id: 4 },
  ])
  await bob.publish('a', 1)
  await bob.publish('b', 2)
  t.match(await ada.fence(), [{ type: 'message', room: 'b', content: 2 }])
  t.match(await ada.request({ type: 'join', room: 'a' }), { code: 'forbidden' })
  t.match(await ada.join('d'), { room: 'd' }, 'its rooms are joined by those who connect with it')
  await closeAll(ada, bob)
})

t.test('a token that is none, or of another user, changes nothing', async (t) => {
  const ada = await connect(server, 'ada', { can: { join: ['a'] } })
  await ada.join('a')
  for (const token of [
    'x',
    tokenFor('ada', {}, { key: 'a secret that is somebody else\u2019s, long enough' }),
    tokenFor('ada', { exp: nowS() - 1 }),
    tokenFor('bob'),
    tokenFor('ada', { rooms: ['b'], can: {} }),
  ])
    t.match(await ada.request({ type: 'refresh', token }), { type: 'error', code: 'unauthorized' })
  for (const token of [undefined, 5, '', 'x'.repeat(20_000)])
    t.match(await ada.request({ type: 'refresh', token }), { type: 'error', code: 'bad_envelope' })
  t.match(await ada.request({ type: 'join', room: 'b' }), { code: 'forbidden' }, 'the old one goes on')
  t.match(await ada.join('a'), { room: 'a' })
  await ada.close()
  t.notMatch(server.output, /eyJ/, 'and none is in the log')
})

t.test('4401 comes at the end of the newest token, be that later or sooner', async (t) => {
  const soon = () => Date.now() / 1000 + 1
  const [later, sooner] = [await connect(server, 'ada', { exp: soon() }), await connect(server, 'bob')]
  t.match(await later.request({ type: 'refresh', token: tokenFor('ada') }), { type: 'refreshed' })
  const exp = soon()
  t.match(await sooner.request({ type: 'refresh', token: tokenFor('bob', { exp }) }), {
    type: 'refreshed',
    expiresAt: Math.floor(exp * 1000),
  })
  t.equal((await sooner.closed()).code, 4401)
  t.ok(Date.now() >= exp * 1000 - 10)
  t.strictSame(await later.fence(), [], 'its first token has ended, and it is there')
  await closeAll(later, sooner)
  await clientsAre(server, 0, { rooms: 0 })
})

t.test('a client without a name may take another nameless token, and no other', async (t) => {
  const lax = await startServer({ JWT_REQUIRE_SUB: 'false', JWT_REQUIRE_EXP: 'false' })
  t.teardown(() => lax.stop())
  const nobody = await connect(lax, '', {}, { token: tokenFor('', { sub: undefined }) })
  const answer = (claims: object) =>
    nobody.request({ type: 'refresh', token: tokenFor('', { sub: undefined, ...claims }) })
  t.match(await answer({ sub: 'ada' }), { code: 'unauthorized' })
  const eternal = await answer({ exp: undefined })
  t.match(eternal, { type: 'refreshed' })
  t.notOk('expiresAt' in eternal || 'expiresInMs' in eternal, 'it does not expire')
  const ada = await connect(lax, 'ada')
  t.match(await ada.request({ type: 'refresh', token: tokenFor('', { sub: undefined }) }), {
    code: 'unauthorized',
  })
  await closeAll(nobody, ada)
})
