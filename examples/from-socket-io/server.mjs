// Starts the same app twice: with Socket.IO, and with roomcast.
import { randomBytes } from 'node:crypto'
import { createSigner } from 'fast-jwt'
import { startRoomcast } from './roomcast.mjs'
import { startSocketIo } from './socket-io.mjs'

const port = Number(process.env.PORT ?? 3000)
const secret = randomBytes(32).toString('base64url')
const sign = createSigner({ key: secret, expiresIn: 3_600_000 })
const lunch = () =>
  new Map([
    ['pizza', 0],
    ['soup', 0],
  ])

const after = await startRoomcast({ port, secret, votes: lunch() })
const before = await startSocketIo({
  port: Number(process.env.SOCKET_IO_PORT ?? port + 1),
  secret,
  votes: lunch(),
})
const can = { join: ['poll.lunch'], publish: ['poll.lunch'] }
const token = sign({ sub: 'ada', can })

console.log(`Open ${after.url}/#${token}`)
console.log(`With Socket.IO: ${before.url}/#${token}`)
for (const signal of ['SIGTERM', 'SIGINT'])
  process.once(signal, () => Promise.all([before.app.close(), after.app.close()]))
