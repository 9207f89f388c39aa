// An app that embeds roomcast and closes.
import type { AddressInfo } from 'node:net'
import Fastify from 'fastify'
import t from 'tap'
import roomcast from '../../src/app.ts'
import { RawSocket } from '../support/raw-socket.ts'
import { SECRET, tokenFor } from '../support/token.ts'

const GRACE_MS = 1000

t.test('upgrades are refused from the first moment of the close, which the grace bounds', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(roomcast, { jwtSecret: [SECRET], shutdownGraceMs: GRACE_MS })
  await app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = app.server.address() as AddressInfo
  const address = { host: '127.0.0.1', port }
  const stubborn = await RawSocket.upgrade(address, `/ws?token=${tokenFor('a')}`)
  t.equal(stubborn.response?.status, 101)
  const fromMs = performance.now()
  const closing = app.close()
  // The Close has come, so the drain is under way; a stubborn client does not answer it.
  await stubborn.close()
  const late = await RawSocket.upgrade(address, `/ws?token=${tokenFor('b')}`)
  t.match(late.response, { status: 503, headers: { 'retry-after': '1' } })
  t.match(JSON.parse(late.response?.body ?? ''), { error: 'draining' })
  t.equal(await late.ended(), 'fin')
  late.destroy()
  await closing
  const tookMs = performance.now() - fromMs
  t.ok(tookMs < GRACE_MS + 500, `closed after ${Math.round(tookMs)} ms`)
  stubborn.destroy()
})
