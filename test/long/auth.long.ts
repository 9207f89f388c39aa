// B13 and B16 with the times of the cases.
import t from 'tap'
import { connect } from '../support/client.ts'
import { tryUpgrade } from '../support/exchange.ts'
import { RawSocket, upgradeRequest } from '../support/raw-socket.ts'
import { startServer } from '../support/server.ts'
import { clientsAre, stillServing } from '../support/still-serving.ts'
import { nowS, tokenFor } from '../support/token.ts'
import { pace, pollUntil } from '../support/until.ts'

t.test('B13 5 s to live, then 10 s of reconnects with the dead token', async (t) => {
  const server = await startServer()
  t.teardown(() => server.stop())
  const exp = nowS() + 6
  const token = tokenFor('a', { exp })
  const [a, b] = [await connect(server, 'a', {}, { token }), await connect(server, 'b')]
  await a.join('r')
  await b.join('r')
  await pace(exp * 1000 - 2_000 - Date.now())
  await a.publish('r', 'in time')
  t.match(await b.next('message'), { content: 'in time' })
  const { code } = await a.closed(6_000)
  const lateMs = Date.now() - exp * 1000
  t.equal(code, 4401)
  t.ok(lateMs >= -10 && lateMs < 1_000, `closed between 5 and 6 s (${lateMs} ms after exp)`)
  const read = a.received.length
  await a.socket.ended()
  await pace(exp * 1000 + 2_000 - Date.now())
  b.say('r', 'late')
  a.say('r', 'late')
  t.same(await b.fence(), [])
  t.equal(a.received.length, read, 'nothing after exp')
  await clientsAre(server, 1, { rooms: 1 })

  const before = server.fds()
  const cpuS = server.cpuS()
  let attempts = 0
  const endMs = performance.now() + 10_000
  while (performance.now() < endMs) {
    const { response } = await tryUpgrade(server, `?token=${token}`)
    if (response.status !== 401) t.equal(response.status, 401)
    attempts++
    await pace(50)
  }
  t.ok(((server.cpuS() - cpuS) * 1000) / attempts < 5, `less than 5 ms of CPU each of ${attempts}`)
  await pollUntil('descriptors are back', () => server.fds() <= before)
  await stillServing(t, server, { bystander: b, open: 1 })
  await b.close()
})

t.test('B16 500 refused peers that never close, watched for 40 s', async (t) => {
  const server = await startServer({ CONNECT_RATE_MAX: '0' })
  t.teardown(() => server.stop())
  await stillServing(t, server, { open: 0 })
  const before = server.fds()
  const sockets = await Promise.all(Array.from({ length: 500 }, () => RawSocket.open(server)))
  for (const socket of sockets) socket.write(upgradeRequest('/ws?token=bad'))
  await Promise.all(sockets.map((socket) => socket.ended(2_000)))
  for (let second = 0; second < 40; second++) {
    t.equal((await server.health()).clients, 0, 'never counted')
    t.ok(server.fds() <= before + 1, 'no descriptor is held')
    await pace(1_000)
  }
  for (const socket of sockets) socket.destroy()
  await stillServing(t, server, { open: 0 })
})
