import t from 'tap'
import { makeCertificate } from '../support/certificate.ts'
import { connect } from '../support/client.ts'
import { RawSocket } from '../support/raw-socket.ts'
import { startServer } from '../support/server.ts'
import { clientsAre } from '../support/still-serving.ts'
import { tokenFor } from '../support/token.ts'

const PING_MS = 300
const PONG_MS = 300

t.test('over TLS: a client that answers no ping is ended in time, one that does stays', async (t) => {
  const { cert, key } = makeCertificate(t)
  const server = await startServer({
    TEST_TLS_CERT: cert,
    TEST_TLS_KEY: key,
    PING_INTERVAL_MS: String(PING_MS),
    PONG_TIMEOUT_MS: String(PONG_MS),
  })
  t.teardown(() => server.stop())
  const living = await connect(server, 'living')
  await living.join('r')
  for (const bytes of [10, 200_000]) {
    const silent = await RawSocket.upgrade(server, `/ws?token=${tokenFor('silent')}`, { pong: false })
    silent.sendText('{"type":"join","room":"r"}')
    await silent.until('joined', () => silent.frames.length > 1)
    silent.pause()
    const pings = setInterval(() => living.say('r', 'x'.repeat(bytes)), PING_MS)
    await clientsAre(server, 1, { rooms: 1, deadlineMs: 10 * (PING_MS + PONG_MS) })
    clearInterval(pings)
    t.pass(`in a room with messages of ${bytes} bytes, that the kernel takes`)
    silent.destroy()
  }
  await living.close()
})
