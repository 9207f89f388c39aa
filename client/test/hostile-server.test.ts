// A server that is broken, or means harm: it makes no client run in circles, grow, or end its process.
import t from 'tap'
import { kindServer, World } from './support/world.ts'

t.test('a life of nothing has the token renewed once a second, not at once and without end', async (t) => {
  for (const expiresInMs of [0, -5]) {
    const world = new World()
    let asked = 0
    const hub = world.connect({ token: () => `token ${++asked}` })
    world.onSent = ({ type, id }, socket) => {
      if (type === 'refresh') socket.say({ type: 'refreshed', id, expiresInMs })
    }
    await world.settle()
    world.socket.accept({ expiresInMs })
    for (let n = 0; n < 50; n++) await world.pass(100)
    t.ok(asked > 3 && asked < 8, `asked ${asked} times in 5 s`)
    hub.close()
  }
})

t.test('a time to come back at that is none does not replace the back-off', async (t) => {
  for (const reconnectInMs of [-1, 'soon']) {
    const world = new World()
    const hub = world.connect({ token: () => 'token' })
    const waits: number[] = []
    hub.on('state', (state) => {
      if (state.name === 'waiting') waits.push(state.retryInMs)
    })
    for (let n = 0; n < 4; n++) {
      await world.settle()
      world.socket.accept().say({ type: 'closing', reconnectInMs })
      world.socket.end(1001)
      await world.pass(10_000)
    }
    t.strictSame(waits, [75, 150, 300, 600], `${reconnectInMs}`)
    hub.close()
  }
})

t.test('a join that is to be tried again after no time waits a second', async (t) => {
  const world = new World()
  world.onSent = ({ type, id, room }, socket) => {
    if (type === 'join')
      socket.say({ type: 'error', id, room, code: 'unavailable', message: '', retryAfterMs: 0 })
  }
  const hub = world.connect({ token: () => 'token' })
  hub.room('r')
  await world.settle()
  world.socket.accept()
  for (let n = 0; n < 50; n++) await world.pass(100)
  t.ok(world.socket.of('join').length < 8, `${world.socket.of('join').length} joins in 5 s`)
  hub.close()
})

t.test('endless notices of too many frames are one timer', async (t) => {
  const world = new World()
  const hub = world.connect({ token: () => 'token' })
  await world.settle()
  world.socket.accept()
  const before = world.timers.size
  for (let n = 0; n < 1000; n++)
    world.socket.say({ type: 'error', code: 'rate_limited', message: '', retryAfterMs: 60_000 })
  t.equal(world.timers.size, before + 1)
  hub.close()
})

t.test(
  'an envelope whose fields are wrong is an error event, and what comes behind it is heard',
  async (t) => {
    const world = new World()
    world.onSent = kindServer()
    const hub = world.connect({ token: () => 'token' })
    const errors: Error[] = []
    hub.on('error', (error) => errors.push(error))
    await world.settle()
    world.socket.accept()
    const heard: unknown[] = []
    const room = hub.room('r', { presence: true })
    room.on('message', ({ content }) => heard.push(content))
    await world.settle()
    t.ok(room.isJoined)
    for (const wrong of [
      { type: 'message', room: 'r', content: 1 },
      { type: 'message', content: 1 },
      { type: 'member', room: 'r', left: 5 },
      { type: 'presence', room: 'r', users: 7 },
    ])
      world.socket.say(wrong)
    world.socket.say({
      type: 'message',
      room: 'r',
      content: 'sound',
      from: { client: 'c', user: 'u' },
      at: 1,
    })
    await world.settle()
    t.ok(errors.length > 0)
    t.equal(heard.at(-1), 'sound')
    t.equal(hub.state.name, 'open')
    hub.close()
  },
)
