// ../shared/cases/client.md, Tokens: by number.
import t from 'tap'
import type { RoomcastError } from '../src/errors.ts'
import { kindServer, World } from './support/world.ts'

/** A provider that gives t1, t2, …, and counts. */
function counting() {
  const provider = { asked: 0, token: () => `t${++provider.asked}` }
  return provider
}

t.test('9 the waking path connects with a new token', async (t) => {
  const world = new World()
  const provider = counting()
  const hub = await world.open(provider)
  t.equal(world.socket.token, 't1')
  world.socket.end()
  world.wake()
  await world.settle()
  t.equal(world.socket.token, 't2')
  hub.close()
})

t.test('10 and 11 after 4401 it comes back with a new token, and its rooms', async (t) => {
  const world = new World()
  world.onSent = kindServer()
  const provider = counting()
  const hub = await world.open(provider)
  const room = hub.room('r')
  await world.settle()
  world.socket.end(4401, 'token expired')
  await world.pass(200)
  t.equal(world.socket.token, 't2')
  world.socket.accept()
  await world.settle()
  t.match(world.socket.of('join'), [{ room: 'r', since: { epoch: 'e', offset: 0 } }])
  t.ok(room.isJoined)
  hub.close()
})

t.test('12 a renewal that comes after a reconnect begins no second chain', async (t) => {
  const world = new World()
  const waiting: ((token: string) => void)[] = []
  let given = 0
  const hub = world.connect({
    token: () => (++given === 1 ? 't1' : new Promise<string>((resolve) => waiting.push(resolve))),
  })
  await world.settle()
  world.socket.accept({ expiresInMs: 100_000 })
  await world.pass(80_000)
  t.equal(waiting.length, 1, 'it renews')
  world.socket.end()
  await world.pass(200)
  t.equal(waiting.length, 1, 'the new connection waits for the same answer')
  waiting[0]?.('t2')
  await world.settle()
  const second = world.socket.accept({ expiresInMs: 100_000 })
  t.equal(second.token, 't2')
  t.equal(second.of('refresh').length, 0)
  await world.pass(80_000)
  t.equal(waiting.length, 2, 'one chain')
  hub.close()
})

t.test('13 a fixed token that is refused or has expired ends it', async (t) => {
  const world = new World()
  world.fetch = (async () => new Response('{}', { status: 401 })) as typeof fetch
  const hub = world.connect()
  await world.settle()
  world.socket.end()
  await world.pass(60_000)
  t.match(hub.state, { name: 'closed', code: 401 })
  t.equal(world.sockets.length, 1)
  const other = new World()
  const second = await other.open()
  other.socket.end(4401, 'token expired')
  t.match(second.state, { name: 'closed', code: 4401 })
  t.equal(other.timers.size, 0)
})

t.test('14 the provider is asked once at a time', async (t) => {
  const world = new World()
  let asked = 0
  const hub = world.connect({ token: () => new Promise<string>(() => void asked++) })
  await world.settle()
  for (let n = 0; n < 5; n++) world.wake()
  await world.pass(1_000)
  t.equal(asked, 1)
  hub.close()
})

t.test('15 after a long sleep the token is renewed, by the server’s clock', async (t) => {
  const world = new World()
  world.onSent = (envelope, socket) => {
    if (envelope.type === 'refresh') socket.say({ type: 'refreshed', id: envelope.id, expiresInMs: 600_000 })
    else kindServer()(envelope, socket)
  }
  const provider = counting()
  const hub = world.connect(provider)
  await world.settle()
  // A clock of 1970 on the page changes nothing.
  world.socket.accept({ expiresAt: 4_000_000_000_000, expiresInMs: 600_000 })
  await world.pass(539_000)
  t.equal(provider.asked, 1)
  await world.pass(2_000)
  t.match(world.socket.of('refresh'), [{ token: 't2' }], 'a minute before its end')
  await world.sleep(3_600_000)
  t.equal(world.socket.of('refresh').length, 2)
  t.match(world.socket.of('refresh')[1], { token: 't3' })
  hub.close()
})

t.test('16 a provider that throws, or never answers, ends nothing for good', async (t) => {
  const world = new World()
  const faults: string[] = []
  const ways = [
    () => {
      throw new Error('down')
    },
    () => new Promise<string>(() => {}),
    () => 5 as unknown as string,
    () => 'good',
  ]
  const hub = world.connect({ token: () => (ways.shift() ?? (() => 'good'))() })
  hub.on('error', ({ message }) => faults.push(message))
  await world.pass(60_000)
  t.strictSame(faults, ['down', 'no token', 'bad token'])
  t.equal(world.socket.token, 'good')
  world.socket.accept()
  t.equal(hub.state.name, 'open')
  hub.close()
})

t.test('17 what an error’s listener changes holds', async (t) => {
  const world = new World()
  let token = ''
  const hub = world.connect({ token: () => token })
  hub.on('error', () => {
    token = 'from the listener'
  })
  await world.pass(2_000)
  t.equal(world.socket.token, 'from the listener')
  hub.close()
})

t.test('18 renewing keeps the rooms, but those that the new token forbids', async (t) => {
  const world = new World()
  world.onSent = (envelope, socket) => {
    if (envelope.type !== 'refresh') return kindServer()(envelope, socket)
    socket.say({ type: 'refreshed', id: envelope.id, expiresInMs: 100_000 })
    socket.say({ type: 'left', room: 'b', reason: 'forbidden' })
  }
  const hub = world.connect(counting())
  const [a, b] = [hub.room('a'), hub.room('b')]
  const left: RoomcastError[] = []
  b.on('left', (error) => left.push(error))
  await world.settle()
  const socket = world.socket.accept({ expiresInMs: 100_000 })
  await world.pass(85_000)
  t.equal(socket.of('refresh').length, 1)
  t.equal(socket.of('join').length, 2, 'nothing is joined again')
  t.ok(a.isJoined)
  t.notOk(b.isJoined)
  t.match(left, [{ code: 'forbidden', retry: false }])
  await t.rejects(b.publish(1), { code: 'forbidden' })
  hub.close()
})
