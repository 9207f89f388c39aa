// The client as it is built: names are short there, and what is said by them must not be.
import t from 'tap'
import type { Hub, HubOptions } from '../src/types.ts'
import { type FakeSocket, kindServer, World } from './support/world.ts'

const path = '../dist/index.js'
const { connect } = (await import(path)) as {
  connect: (url: string, options: Partial<HubOptions>) => Hub
}

t.test('what was on its way when the connection went may have been delivered', async (t) => {
  const world = new World()
  world.onSent = kindServer()
  const hub = connect('https://rc.example', {
    token: 'token',
    WebSocket: world.WebSocket as NonNullable<HubOptions['WebSocket']>,
  })
  t.teardown(() => hub.close())
  await world.settle()
  const socket: FakeSocket = world.socket.accept()
  const room = hub.room('r')
  await world.settle()
  t.ok(room.isJoined)
  world.onSent = () => {}
  const said = room.publish('cursor', { keep: false })
  const lost = t.rejects(said, { code: 'lost', retry: true, maybeDelivered: true })
  await world.settle()
  t.equal(socket.of('message').length, 1)
  socket.end()
  await lost
})
