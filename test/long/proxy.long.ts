// B49 in real time: seven minutes of idleness with the product's defaults, behind a default nginx and directly.
import t from 'tap'
import { connect } from '../support/client.ts'
import { connectCrowd } from '../support/crowd.ts'
import { recordIdle } from '../support/idle-client.ts'
import { hasNginx, Nginx } from '../support/nginx.ts'
import { startServer } from '../support/server.ts'
import { clientsAre } from '../support/still-serving.ts'
import { pace, pollUntil } from '../support/until.ts'

const IDLE_MS = 7 * 60_000
const skip = hasNginx() ? false : 'nginx is not installed'

t.test('B49 idle for seven minutes, behind nginx and directly', { skip }, async (t) => {
  const server = await startServer()
  t.teardown(() => server.stop())
  const nginx = await Nginx.start({ upstream: server })
  t.teardown(() => nginx.stop())
  // As an haproxy with `timeout tunnel 30s` would.
  const strict = await Nginx.start({ upstream: server, location: 'proxy_read_timeout 30s;' })
  t.teardown(() => strict.stop())
  const idle = await Promise.all([recordIdle(server), recordIdle(nginx), recordIdle(strict)])
  const endMs = performance.now() + IDLE_MS
  while (performance.now() < endMs && idle.every(({ socket }) => !socket.end)) await pace(1_000)
  for (const [i, { socket, pings, foreign }] of idle.entries()) {
    const name = ['directly', 'behind nginx', 'behind a proxy of 30 s'][i]
    t.equal(socket.end, undefined, `${name}: still there`)
    t.ok(pings() >= IDLE_MS / 30_000, `${name}: ${pings()} pings, one every 30 s or sooner`)
    t.same(foreign(), [], `${name}: and not a byte else`)
  }
  await clientsAre(server, 3)
  for (const { socket } of idle) socket.destroy()
  await clientsAre(server, 0)
})

t.test('B49 nginx of 20 s, reloaded and killed, with the default pings', { skip }, async (t) => {
  const server = await startServer()
  t.teardown(() => server.stop())
  const nginx = await Nginx.start({ upstream: server, location: 'proxy_read_timeout 20s;' })
  t.teardown(() => nginx.stop())
  const cut = await recordIdle(nginx)
  await cut.socket.ended(24_000)
  t.same(cut.foreign(), [], 'cut by the proxy, without HTTP text')
  cut.socket.destroy()
  await clientsAre(server, 0)

  const clients = await connectCrowd(nginx, 200, ['r'])
  nginx.configure('')
  nginx.reload()
  // The old worker keeps its connections; new ones come to the new worker.
  const late = await pollUntil('a reconnect works', () => connect(nginx, 'late').catch(() => undefined))
  await late.join('r')
  await late.publish('r', 'after the reload')
  await clientsAre(server, 201)
  await nginx.kill()
  await clientsAre(server, 0, { rooms: 0, deadlineMs: 46_000 })
  for (const { socket } of [...clients, late]) socket.destroy()
  await nginx.start()
  const again = await connect(nginx, 'again')
  await again.join('r')
  await again.close()
})
