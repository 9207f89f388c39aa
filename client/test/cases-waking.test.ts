// ../shared/cases/client.md, Waking, hiding, networks: by number.
import t from 'tap'
import { kindServer, World } from './support/world.ts'

t.test('1 after sleep a dead socket is found out within seconds, and one that lives is kept', async (t) => {
  const world = new World()
  world.onSent = kindServer()
  const hub = await world.open()
  const { socket } = world
  world.wake()
  await world.pass(5_000)
  t.equal(hub.state.name, 'open')
  t.equal(world.socket, socket, 'it has answered')
  world.onSent = () => {}
  world.wake()
  t.equal(socket.of('ping').length, 2, 'it is asked before it is cut')
  await world.pass(3_000)
  t.equal(socket.closedWith, 1000)
  await world.pass(200)
  t.not(world.socket, socket)
  hub.close()
})

t.test('2 late timers of a frozen page do not cut a sound socket', async (t) => {
  const world = new World()
  world.onSent = () => {}
  const hub = await world.open()
  const { socket } = world
  // It asks, and freezes before the answer is read.
  await world.pass(15_000)
  t.equal(socket.of('ping').length, 1)
  await world.sleep(600_000)
  t.equal(world.socket, socket, 'the late timer proves nothing')
  socket.say({ type: 'pong' })
  await world.pass(10_000)
  t.equal(hub.state.name, 'open')
  t.equal(world.socket, socket)
  hub.close()
})

t.test('3 a handshake that was done while the page slept is used', async (t) => {
  const world = new World()
  const hub = world.connect()
  await world.settle()
  const { socket } = world
  await world.sleep(600_000)
  t.equal(socket.closedWith, undefined, 'the late deadline proves nothing')
  socket.accept()
  t.equal(hub.state.name, 'open')
  t.equal(world.sockets.length, 1)
  hub.close()
})

t.test('4 and 5 whoever wakes connects at once, however many tries failed while hidden', async (t) => {
  const world = new World()
  const hub = world.connect({ token: () => 'token' })
  for (let tries = 0; tries < 8; tries++) {
    await world.settle()
    world.socket.end()
    await world.pass(30_000)
  }
  const { length } = world.sockets
  world.socket.end()
  await world.settle()
  t.match(hub.state, { name: 'waiting' })
  world.wake()
  await world.settle()
  t.equal(world.sockets.length, length + 1, 'without a wait')
  world.socket.end()
  await world.settle()
  t.match(hub.state, { name: 'waiting', retryInMs: 750 }, 'and the series begins anew')
  hub.close()
})

t.test('6 waking does not undo close()', async (t) => {
  const world = new World()
  const hub = await world.open()
  hub.close()
  world.wake()
  await world.pass(60_000)
  t.equal(world.sockets.length, 1)
  t.match(hub.state, { name: 'closed', why: 'closed' })
  t.equal(world.listeners, 0, 'nothing listens any more')
})

t.test('7 the heartbeat of an old socket neither pings nor closes the next', async (t) => {
  const world = new World()
  world.onSent = kindServer()
  const hub = await world.open()
  const [first] = world.sockets
  first?.end()
  await world.pass(200)
  const second = world.socket.accept()
  await world.pass(200_000)
  t.equal(first?.of('ping').length, 0)
  t.equal(second.closedWith, undefined)
  t.ok(second.of('ping').length > 5 && second.of('ping').length < 20, `${second.of('ping').length} pings`)
  hub.close()
})

t.test('8 what is said while the connection is away waits, and goes out', async (t) => {
  const world = new World()
  world.onSent = kindServer()
  const hub = await world.open()
  const room = hub.room('r')
  await world.settle()
  world.socket.end()
  const said = room.publish('while away')
  await world.pass(200)
  world.socket.accept()
  t.match(await said, { scope: 'cluster', offset: 1 })
  hub.close()
})
