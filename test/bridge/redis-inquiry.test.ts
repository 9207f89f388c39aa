import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import t from 'tap'
import { RedisInquiry } from '../../src/bridge/redis-inquiry.ts'

t.test('an inquiry that is closed between two rounds connects to nobody any more', async (t) => {
  let connections = 0
  const server = createServer((socket) => {
    connections++
    socket.destroy()
  }).listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const inquiry = new RedisInquiry<void>({
    login: {},
    servers: () => [{ host: '127.0.0.1', port }],
    ask: (client) => client.ping(),
    onRound: () => {},
  })
  await inquiry.refresh()
  t.equal(connections, 1)
  // The next round rests before it begins.
  const next = inquiry.refresh()
  inquiry.close()
  await next
  t.equal(connections, 1)
})
