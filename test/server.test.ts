// What ends the process. The drain itself is in cases/shutdown.test.ts.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import t from 'tap'
import { connect } from './support/client.ts'
import { freePort } from './support/free-port.ts'
import { startServer } from './support/server.ts'
import { SECRET } from './support/token.ts'
import { pollUntil } from './support/until.ts'

for (const signal of ['SIGHUP', 'SIGQUIT', 'SIGTERM', 'SIGINT'] as const) {
  t.test(`${signal} drains`, async (t) => {
    const server = await startServer()
    t.teardown(() => server.stop('SIGKILL'))
    const client = await connect(server, 'a')
    server.signal(signal)
    t.match(await client.next('closing'), { reconnectInMs: Number })
    t.equal((await client.closed()).code, 1001)
    t.same(await server.exited(), { code: 0, signal: null })
    t.match(
      server.logs,
      server.logs.map(({ msg }) => (msg === 'stopping' ? { signal } : {})),
    )
    client.socket.destroy()
  })
}

t.test('a process manager that closes its channel ends nothing', async (t) => {
  const port = await freePort()
  const child = fork('dist/src/server.js', {
    env: { ...process.env, JWT_SECRET: SECRET, PORT: String(port) },
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  const exited = once(child, 'exit')
  let printed = ''
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    printed += text
  })
  const address = { host: '127.0.0.1', port }
  await pollUntil('it listens', () => printed.includes('"listening"'), 20_000)
  const client = await connect(address, 'a')
  child.disconnect()
  await client.fence()
  await (await connect(address, 'b')).close()
  child.kill('SIGTERM')
  t.equal((await client.closed()).code, 1001)
  t.same(await exited, [0, null])
  t.match(printed, /"signal":"SIGTERM","msg":"stopping"/)
  client.socket.destroy()
})
