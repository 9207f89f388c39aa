// deploy/haproxy.cfg in front of two nodes.
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { API_SECRET, streamsAndApi } from '../support/api.ts'
import { connect } from '../support/client.ts'
import { HAPROXY_CFG, Haproxy } from '../support/haproxy.ts'
import { hasCommand } from '../support/has-command.ts'
import { recordIdle } from '../support/idle-client.ts'
import { RawSocket } from '../support/raw-socket.ts'
import { startBehind } from '../support/rolling.ts'
import { tokenFor } from '../support/token.ts'
import { pollUntil } from '../support/until.ts'

const skip = hasCommand('haproxy') ? false : `haproxy is not installed, so ${HAPROXY_CFG} is not tried`

t.test('HAProxy, two nodes, Redis', { skip }, async (t) => {
  const limits = { CONNECT_RATE_MAX: '40', CONNECT_RATE_WINDOW_MS: '60000', PING_INTERVAL_MS: '500' }
  const env = { ...limits, API_KEYS: `all:${API_SECRET}` }
  const { nodes, balancer } = await startBehind(t, Haproxy.start, env)
  t.match(await balancer.check(), /Configuration file is valid/)
  const clients = []
  for (let n = 0; n < 6; n++) clients.push(await connect(balancer, `u${n}`))
  const [a, ...others] = clients as [(typeof clients)[number], ...typeof clients]
  t.equal(new Set(clients.map(({ welcome }) => welcome.node)).size, 2, 'both nodes get clients')
  for (const client of clients) await client.join('r')
  const large = 'x'.repeat(500_000)
  t.match(await a.publish('r', large), { scope: 'cluster', offset: 1 })
  for (const client of others) t.ok((await client.next('message')).content === large)
  const idle = await recordIdle(balancer)
  await idle.socket.until('pings through HAProxy', () => idle.pings() >= 3, 10_000)
  t.same(idle.foreign(), [], 'and not a byte else')
  idle.socket.destroy()

  await streamsAndApi(t, balancer)

  const long = await RawSocket.upgrade(balancer, `/ws?token=${tokenFor('l', { pad: 'x'.repeat(6_000) })}`)
  t.equal(long.response?.status, 101, 'a long token')
  long.destroy()
  for (const path of ['/health', '/health/ready', '/metrics', '/ws', '/nothing']) {
    const { status } = await fetch(balancer.url(path))
    t.equal(status, path === '/ws' ? 426 : 404, path)
  }
  const bad = await RawSocket.upgrade(balancer, '/ws?token=bad')
  t.equal(bad.response?.status, 401)
  bad.destroy()
  let refused = 0
  for (let n = 0; n < 60; n++) {
    const socket = await RawSocket.upgrade(balancer, `/ws?token=${tokenFor('f')}`, {
      lines: [`X-Forwarded-For: 10.0.0.${n}`],
    })
    if (socket.response?.status === 429) refused++
    socket.destroy()
  }
  t.ok(refused >= 20 && refused < 40, `${refused} of 60: the limit counts the address that HAProxy sees`)

  // A node that is gone without a word is passed over from its first refused connection on.
  const [one, two] = nodes as [(typeof nodes)[number], (typeof nodes)[number]]
  await one.stop('SIGKILL')
  for (let n = 0; n < 3; n++) {
    const { status } = await fetch(balancer.url('/nothing'))
    t.equal(status, 404, 'the other node answers')
  }
  for (const client of clients) client.socket.destroy()
  await two.stop()
  t.match((await fetch(balancer.url('/ws'))).status, 503, 'with none left, HAProxy says so')
  await pollUntil('the last refusal is logged', () => / "GET \/ws" 503 /.test(balancer.accesses))
  t.match(balancer.accesses, /^127\.0\.0\.1 \[\S+\] "GET \/ws" 101 /m)
  t.notMatch(balancer.accesses + balancer.errors, /token|eyJ/, 'no token in its log')
})

t.test('a publish that may have been carried out is not sent again, and a read is', { skip }, async (t) => {
  const asked = new Map<string, number>()
  /** It dies over each request. */
  const node = async () => {
    const server = createServer(({ method = '', url, socket }, response) => {
      if (url === '/health/ready') return response.end()
      asked.set(method, (asked.get(method) ?? 0) + 1)
      return socket.destroy()
    })
    t.teardown(() => server.close())
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return { host: '127.0.0.1', port: (server.address() as AddressInfo).port }
  }
  const balancer = await Haproxy.start([await node(), await node()])
  t.teardown(() => balancer.stop())
  // 502, or no answer at all.
  for (const method of ['POST', 'GET'])
    t.not((await fetch(balancer.url('/api/v1/rooms/r'), { method }).catch(() => undefined))?.ok, true, method)
  t.equal(asked.get('POST'), 1)
  t.ok((asked.get('GET') ?? 0) > 1)
})
