// B47 with the numbers of the case, and 10,000 connects and disconnects of every kind.
import t from 'tap'
import { connect } from '../support/client.ts'
import { clientChurn } from '../support/client-churn.ts'
import { inBatches } from '../support/crowd.ts'
import { RawSocket, upgradeRequest } from '../support/raw-socket.ts'
import { startServer } from '../support/server.ts'
import { stillServing } from '../support/still-serving.ts'
import { tcpCount } from '../support/tcp-table.ts'
import { pollUntil } from '../support/until.ts'
import { flood, floodEnv, refusedKinds, useUpLimit } from '../support/upgrade-flood.ts'

t.test('B47 2,000 refused upgrades of each kind', async (t) => {
  const each = 2_000
  const server = await startServer(floodEnv(each * 2))
  t.teardown(() => server.stop())
  await useUpLimit(server, each * 2)
  await pollUntil('a quiet start', () => tcpCount(server.port, 'established') === 0)
  const before = server.fds()
  for (const [name, kind] of Object.entries(refusedKinds)) {
    for (const closes of [true, false]) {
      const sockets = await flood(server, each, kind, (socket) => {
        if (closes) socket.destroy()
      })
      if (!closes) await Promise.all(sockets.map((socket) => socket.ended(5_000)))
      await pollUntil(
        `${name}: descriptors are back`,
        () => server.fds() <= before + 5 && tcpCount(server.port, 'close-wait') === 0,
      )
      for (const socket of sockets) socket.destroy()
    }
  }
  t.equal((await server.health()).clients, 0)
  await stillServing(t, server, { open: 0 })
})

t.test('B47 with 256 descriptors, 5,000 refused upgrades by peers that do not close', async (t) => {
  const prefix = ['sh', '-c', 'ulimit -n 256 && exec "$@"', 'sh']
  const server = await startServer({ CONNECT_RATE_MAX: '0', HANDSHAKE_TIMEOUT_MS: '1000' }, { prefix })
  t.teardown(() => server.stop())
  const first = await connect(server, 'first')
  await first.join('r')
  const sockets = await inBatches(
    5_000,
    async () => {
      const socket = await RawSocket.open(server)
      socket.write(upgradeRequest('/ws?token=bad'))
      await socket.until('an answer or the end', () => socket.response ?? socket.end, 20_000)
      return socket
    },
    400,
  )
  await stillServing(t, server, { bystander: first, open: 1 })
  t.equal((await server.health()).code, 200)
  for (const socket of sockets) socket.destroy()
  await first.close()
})

t.test('10,000 connects and disconnects of every kind leave nothing behind', (t) =>
  clientChurn(t, 10_000, 200),
)
