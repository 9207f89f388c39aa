// An app that embeds roomcast and closes.
import type { AddressInfo } from 'node:net'
import Fastify from 'fastify'
import t from 'tap'
import roomcast from '../../src/app.ts'
import { startProgram } from '../support/program.ts'
import { RawSocket } from '../support/raw-socket.ts'
import { SECRET, tokenFor } from '../support/token.ts'

const GRACE_MS = 1000

t.test("sockets of the app's own WebSocket routes are closed with it", async (t) => {
  const app = Fastify()
  await app.register(roomcast, { jwtSecret: [SECRET] })
  app.get('/feed', { websocket: true }, (socket) => {
    socket.on('message', (text: Buffer) => socket.send(`heard ${text}`))
  })
  await app.listen({ port: 0, host: '127.0.0.1' })
  const address = { host: '127.0.0.1', port: (app.server.address() as AddressInfo).port }
  const socket = await RawSocket.upgrade(address, '/feed')
  socket.sendText('hello')
  const { payload } = await socket.frame('the echo', () => true)
  t.equal(String(payload), 'heard hello')
  const closing = app.close()
  t.equal((await socket.close()).code, 1001)
  socket.sendClose(1001)
  await closing
  socket.destroy()
})

t.test(
  'a closing app can speak in preClose hooks ahead of roomcast, and is told when nobody hears it',
  async (t) => {
    const app = Fastify()
    const results: string[] = []
    const says = (content: string) => async () => {
      const result = app.hub.publish('r', content)
      results.push(
        await result.then(({ scope }) => `${content}: ${scope}`).catch((error) => `${content}: ${error}`),
      )
    }
    app.addHook('preClose', says('preClose before'))
    app.addHook('onClose', says('onClose before'))
    await app.register(roomcast, { jwtSecret: [SECRET] })
    app.addHook('preClose', says('preClose after'))
    app.addHook('onClose', says('onClose after'))
    await app.listen({ port: 0, host: '127.0.0.1' })
    const { port } = app.server.address() as AddressInfo
    const socket = await RawSocket.upgrade({ host: '127.0.0.1', port }, `/ws?token=${tokenFor('a')}`)
    socket.sendText('{"type":"join","room":"r"}')
    await socket.frame('joined', ({ payload }) => payload.includes('"joined"'))
    const closing = app.close()
    t.equal((await socket.close()).code, 1001)
    socket.sendClose(1001)
    await closing
    const heard = socket.frames
      .map(({ payload }) => String(payload))
      .filter((text) => text.includes('"content"'))
    t.match(heard, [/preClose before/])
    t.equal(heard.length, 1)
    t.match(results, [
      'preClose before: cluster',
      /^preClose after: NobodyIsLeft: /,
      /^onClose after: NobodyIsLeft: /,
      /^onClose before: NobodyIsLeft: /,
    ])
    socket.destroy()
  },
)

t.test('an option that would have no effect is refused', async (t) => {
  const registering = async (options: object) => Fastify().register(roomcast, options)
  await t.rejects(registering({ jwtSecret: SECRET, maxMesageBytes: 1000 }), /maxMesageBytes: no such setting/)
  await t.rejects(registering({ jwtSecret: SECRET, trustProxy: '10.0.0.0/8' }), /trustProxy: .* to set/)
  const app = Fastify()
  await app.register(roomcast, { jwtSecret: SECRET, logLevel: 'warn' })
  await app.close()
})

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

t.test('a closed app is forgotten at once: a test suite may open and close hundreds', async (t) => {
  const code = `
    import Fastify from 'fastify'
    import roomcast from './dist/src/app.js'
    const openAndClose = async () => {
      const app = Fastify()
      await app.register(roomcast, { jwtSecret: '${SECRET}' })
      await app.listen({ port: 0, host: '127.0.0.1' })
      await app.close()
    }
    for (let n = 0; n < 10; n++) await openAndClose()
    const used = () => { gc(); return process.memoryUsage().heapUsed }
    const before = used()
    for (let n = 0; n < 50; n++) await openAndClose()
    const kept = () => (used() - before) / 50
    // Node itself takes some turns to forget a server.
    const untilMs = performance.now() + 4000
    while (kept() > 50_000 && performance.now() < untilMs) await new Promise((resolve) => setTimeout(resolve, 50))
    console.log(kept())
  `
  const args = ['--expose-gc', '--input-type=module', '--eval', code]
  const program = startProgram(t, process.execPath, args)
  t.equal(await program.exited(), 0, program.stderr)
  t.ok(Number(program.stdout) < 50_000, `${program.stdout.trim()} bytes an app are kept`)
})

t.test('an app that never found its Redis lets the process end at once when it is closed', async (t) => {
  const code = `
    import Fastify from 'fastify'
    import roomcast from './dist/src/app.js'
    const app = Fastify()
    const options = { jwtSecret: '${SECRET}', redisUrl: 'redis://127.0.0.1:1', bridgeTimeoutMs: 300 }
    await app.register(roomcast, options)
    await app.ready()
    await app.close()
    console.log('closed')
  `
  const program = startProgram(t, process.execPath, ['--input-type=module', '--eval', code])
  await program.prints('closed')
  const fromMs = performance.now()
  t.equal(await program.exited(), 0, program.stderr)
  const tookMs = performance.now() - fromMs
  t.ok(tookMs < 1000, `ended ${Math.round(tookMs)} ms later`)
})
