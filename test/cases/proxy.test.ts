// Case B49: the idle timers of every hop, made short, and a proxy that goes away.
import t, { type Test } from 'tap'
import { connect } from '../support/client.ts'
import { connectCrowd } from '../support/crowd.ts'
import { recordIdle } from '../support/idle-client.ts'
import { hasNginx, Nginx } from '../support/nginx.ts'
import { type Env, type Server, startServer } from '../support/server.ts'
import { clientsAre, stillServing } from '../support/still-serving.ts'
import { pollUntil } from '../support/until.ts'

async function serverFor(t: Test, env: Env): Promise<Server> {
  const server = await startServer({ CONNECT_RATE_MAX: '0', ...env })
  t.teardown(() => server.stop())
  return server
}

async function nginxFor(t: Test, upstream: Server, location: string, main = ''): Promise<Nginx> {
  const nginx = await Nginx.start({ upstream, location, main })
  t.teardown(() => nginx.stop())
  return nginx
}

const noNginx = hasNginx() ? false : 'nginx is not installed'

t.test(
  'B49 an idle client outlives every timer: HTTP\u2019s, and the proxy\u2019s',
  { skip: noNginx },
  async (t) => {
    // The HTTP timers are 500 ms (looked at each second), nginx cuts after 800 ms without a byte.
    const server = await serverFor(t, { PING_INTERVAL_MS: '400', HANDSHAKE_TIMEOUT_MS: '500' })
    const nginx = await nginxFor(t, server, 'proxy_read_timeout 800ms; proxy_send_timeout 800ms;')
    const idle = await Promise.all([recordIdle(server), recordIdle(nginx)])
    // Nine pings take 3.6 s: more than four times every timer.
    for (const [i, { socket, pings, foreign }] of idle.entries()) {
      await socket.until('nine pings', () => pings() >= 9, 10_000)
      t.same(foreign(), [], `${i === 0 ? 'directly' : 'behind nginx'}: pings, and not a byte else`)
      t.equal(socket.end, undefined, 'and it is still there')
    }
    await clientsAre(server, 2)
    for (const { socket } of idle) socket.destroy()
    await clientsAre(server, 0)
  },
)

t.test('B49 a proxy less patient than the pings: cut by it, and no ghosts', { skip: noNginx }, async (t) => {
  const server = await serverFor(t, { PING_INTERVAL_MS: '2000' })
  const nginx = await nginxFor(t, server, 'proxy_read_timeout 300ms;')
  const { socket, foreign } = await recordIdle(nginx)
  await clientsAre(server, 1)
  await socket.ended(3_000)
  t.same(foreign(), [], 'no HTTP text in the stream')
  socket.destroy()
  await clientsAre(server, 0)
})

t.test('B49 a proxy that is reloaded or killed leaves no ghosts', { skip: noNginx }, async (t) => {
  const server = await serverFor(t, { PING_INTERVAL_MS: '500', PONG_TIMEOUT_MS: '500' })
  const nginx = await nginxFor(t, server, '', 'worker_shutdown_timeout 100ms;')
  for (const [how, act] of [
    ['reloaded', async () => nginx.reload()],
    ['killed', () => nginx.kill()],
  ] as const) {
    const clients = await connectCrowd(nginx, 200, ['r'])
    await clientsAre(server, 200, { rooms: 1 })
    await act()
    await Promise.all(clients.map(({ socket }) => socket.ended(5_000)))
    await clientsAre(server, 0, { rooms: 0, deadlineMs: 2_000 })
    for (const { socket } of clients) socket.destroy()
    if (how === 'killed') await nginx.start()
    const again = await pollUntil('a reconnect works', () => connect(nginx, 'again').catch(() => undefined))
    await again.join('r')
    t.equal((await again.publish('r', how)).type, 'ack', `after it was ${how}, reconnects work`)
    again.socket.destroy()
    await clientsAre(server, 0)
  }
  await stillServing(t, server, { open: 0 })
})
