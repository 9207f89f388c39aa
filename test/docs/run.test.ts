// What docs/RUN.md tells its readers to run, run.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import type { NetConnectOpts } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { codeBlock } from '../support/code-block.ts'
import { freePort } from '../support/free-port.ts'
import { startProgram } from '../support/program.ts'
import { RawSocket } from '../support/raw-socket.ts'
import { startServer } from '../support/server.ts'
import { SECRET, tokenFor } from '../support/token.ts'

const PAGE = 'docs/RUN.md'
const folder = mkdtempSync(join(tmpdir(), 'roomcast-run-'))
t.teardown(() => rmSync(folder, { recursive: true, force: true }))

t.test('behind the nginx of the page, clients connect and each counts by its own address', async (t) => {
  const server = await startServer({
    TRUST_PROXY: '127.0.0.1',
    CONNECT_RATE_MAX: '1',
    CONNECT_RATE_WINDOW_MS: '60000',
  })
  t.teardown(() => server.stop())
  const port = await freePort()
  const block = codeBlock(PAGE, 'nginx', 'proxy_pass')
    .replace('listen 80;', `listen 127.0.0.1:${port};`)
    .replace('127.0.0.1:8080', `127.0.0.1:${server.port}`)
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `${name}_temp_path ${name};`,
  )
  const config = `daemon off; pid nginx.pid; error_log stderr notice; events {} http { ${temporary.join(' ')}\n${block} }`
  writeFileSync(join(folder, 'nginx.conf'), config)
  const nginx = startProgram(t, 'nginx', ['-p', folder, '-c', 'nginx.conf', '-e', 'stderr'], {
    env: { PATH: `${process.env.PATH}:/usr/sbin` },
  })
  await nginx.until('nginx has a worker', () => nginx.stderr.includes('start worker process') || undefined)

  const upgrade = (localAddress: string) =>
    RawSocket.upgrade({ host: '127.0.0.1', port }, `/ws?token=${tokenFor('ada')}`, {
      tcp: { localAddress } as Partial<NetConnectOpts>,
      // What a client says of itself does not count.
      lines: [`X-Forwarded-For: 10.0.0.${Math.ceil(Math.random() * 250)}`],
    })
  const sockets = [await upgrade('127.0.0.1'), await upgrade('127.0.0.2'), await upgrade('127.0.0.1')]
  t.strictSame(
    sockets.map(({ response }) => response?.status),
    [101, 101, 429],
  )
  t.match(sockets[2]?.response?.headers, { 'retry-after': /^\d+$/ })
  for (const socket of sockets) socket.destroy()
})

t.test('its line for production starts a server that takes tokens of the secret', async (t) => {
  const block = codeBlock(PAGE, 'sh', 'NODE_ENV=production')
  t.equal(codeBlock('docs/OPERATIONS.md', 'sh', 'NODE_ENV=production'), block, 'both pages show the same')
  const [, line = ''] = block.split('\n')
  const command = line.replace('JWT_SECRET=…', `JWT_SECRET=${SECRET}`).replace('0.0.0.0', '127.0.0.1')
  const server = startProgram(t, 'bash', ['-c', command], { env: { PORT: '0' } })
  const port = await server.until(
    'it listens',
    () => /"port":(\d+),.*"msg":"listening"/.exec(server.stdout)?.[1],
  )
  const socket = await RawSocket.upgrade(
    { host: '127.0.0.1', port: Number(port) },
    `/ws?token=${tokenFor('ada')}`,
  )
  t.equal(socket.response?.status, 101)
  socket.destroy()
})
