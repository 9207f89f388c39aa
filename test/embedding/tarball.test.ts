// The packed tarball in a blank app, as another project would install it.
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import t, { type Test } from 'tap'
import { Client } from '../support/client.ts'
import { codeBlock } from '../support/code-block.ts'
import { startProgram } from '../support/program.ts'
import { RawSocket } from '../support/raw-socket.ts'
import { SECRET, tokenFor } from '../support/token.ts'

interface Host {
  port: number
  stop(): Promise<number | null>
}

const { version, dependencies, devDependencies, peerDependencies } = JSON.parse(
  readFileSync('package.json', 'utf8'),
)
const ours = { ...devDependencies, ...dependencies }
const SWAGGER = '@fastify/swagger@9.9.3'

const tarball = mkdtempSync(join(tmpdir(), 'roomcast-tarball-'))
t.teardown(() => rmSync(tarball, { recursive: true, force: true }))
// --ignore-scripts: prepack would build anew while other tests run what is built.
npm('.', 'pack', '--ignore-scripts', '--pack-destination', tarball)
// npm brings a peer along that nobody names, so this one has the newest: as with a global install, or npx.
const app = install(SWAGGER, '@fastify/jwt', '@fastify/rate-limit')
/** Beside the oldest Fastify too: half a minute more, for npm run test:long. */
const oldest = process.env.TEST_OLDEST_FASTIFY === 'true' ? [oldestFastify()] : []

/** A new app with the tarball and other packages; those of ours in the versions that we have. */
function install(...others: string[]): string {
  const folder = mkdtempSync(join(tmpdir(), 'roomcast-app-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ private: true, type: 'module' }))
  npm(
    folder,
    ...['install', '--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund'],
    join(tarball, `roomcast-${version}.tgz`),
    ...others.map((name) => (name in ours ? `${name}@${ours[name]}` : name)),
    `@types/node@${devDependencies['@types/node']}`,
  )
  return folder
}

function oldestFastify(): [version: string, folder: string] {
  const version = peerDependencies.fastify.replace('^', '')
  return [version, install(`fastify@${version}`)]
}

function npm(cwd: string, ...args: string[]): void {
  execFileSync('npm', args, { cwd, stdio: ['ignore', 'ignore', 'pipe'] })
}

/** Runs `code` as the app; it listens on a free port and says so in Fastify's own log. */
async function startHost(t: Test, name: string, code: string, folder = app): Promise<Host> {
  writeFileSync(join(folder, name), code)
  const program = startProgram(t, process.execPath, [name], {
    cwd: folder,
    env: { PORT: '0', JWT_SECRET: SECRET },
  })
  const port = await program.until(
    'the app listens',
    () => /listening at http:\/\/[^"]*:(\d+)/.exec(program.stdout)?.[1],
  )
  return {
    port: Number(port),
    stop: () => {
      program.signal('SIGTERM')
      return program.exited()
    },
  }
}

async function connect({ port }: Host, path: string, sub: string): Promise<Client> {
  const socket = await RawSocket.upgrade(
    { host: '127.0.0.1', port },
    `${path}?token=${tokenFor(sub, { can: { join: ['*'] } })}`,
    { record: false },
  )
  return new Client(socket)
}

function post({ port }: Host, path: string, body: unknown): Promise<Response> {
  return fetch(`http://127.0.0.1:${port}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
}

for (const [fastify, folder] of [['of the newest version', app], ...oldest] as [string, string][]) {
  t.test(
    `beside Fastify ${fastify} the app of docs/BUILD.md publishes to a room by a route of its own`,
    async (t) => {
      const host = await startHost(
        t,
        'readme.mjs',
        codeBlock('docs/BUILD.md', 'js', "prefix: '/realtime'"),
        folder,
      )
      const client = await connect(host, '/realtime/ws', 'ada')
      await client.join('news')
      const response = await post(host, '/news', { title: 'It works' })
      t.match([response.status, await response.json()], [200, { scope: 'cluster' }])
      const message = await client.next('message')
      t.match(message, { room: 'news', content: { title: 'It works' }, from: { user: 'server' }, at: Number })
      await client.close()
    },
  )

  t.test(
    `beside Fastify ${fastify} an app in TypeScript sees app.hub, and a client what is sent`,
    async (t) => {
      t.notOk(existsSync(join(folder, 'node_modules/roomcast/node_modules/fastify')), 'there is one Fastify')
      const code = codeBlock('docs/BUILD.md', 'js', "prefix: '/realtime'").replace(
        'process.env.JWT_SECRET',
        'process.env.JWT_SECRET!',
      )
      const own = "app.get('/feed', { websocket: true }, (socket) => socket.send('hello'))\n"
      writeFileSync(join(folder, 'app.ts'), code + own)
      writeFileSync(join(folder, 'client.ts'), clientInTypeScript)
      const options = { target: 'es2023', module: 'nodenext', strict: true, noEmit: true, types: ['node'] }
      writeFileSync(
        join(folder, 'tsconfig.json'),
        JSON.stringify({ compilerOptions: options, files: ['app.ts', 'client.ts'] }),
      )
      const tsc = startProgram(t, process.execPath, [resolve('node_modules/typescript/bin/tsc')], {
        cwd: folder,
      })
      t.equal(await tsc.exited(60_000), 0, tsc.stdout)
    },
  )

  t.test(`beside Fastify ${fastify} the command roomcast starts the server`, async (t) => {
    const command = join(folder, 'node_modules/.bin/roomcast')
    const server = startProgram(t, command, [], { env: { PORT: '0', JWT_SECRET: SECRET } })
    await server.prints('"msg":"listening"')
    server.signal('SIGTERM')
    t.equal(await server.exited(), 0)
    t.equal(server.stderr, '', 'without any warning')
  })
}

t.test('the example app names the user, counts the listeners, and drains on SIGTERM', async (t) => {
  const host = await startHost(t, 'example.mjs', readFileSync('examples/embedded.mjs', 'utf8'))
  const client = await connect(host, '/realtime/ws', 'ada')
  await client.join('news')
  const response = await post(host, '/news', { lines: ['one', 2] })
  t.match(await response.json(), { published: true, scope: 'cluster', listeners: 1 })
  t.match(await client.next('message'), { content: { lines: ['one', 2] }, from: { user: 'editor' } })
  const code = host.stop()
  t.match(await client.next('closing'), { reconnectInMs: Number })
  t.equal((await client.closed()).code, 1001)
  client.socket.destroy()
  t.equal(await code, 0)
})

const clientInTypeScript = `
import type { FromClient, ToClient } from 'roomcast'
import { closeCodes, type Message } from 'roomcast/protocol'

export const send = (socket: WebSocket, envelope: FromClient) => socket.send(JSON.stringify(envelope))
export const publish = (socket: WebSocket) =>
  send(socket, { type: 'message', room: 'news', content: { any: ['thing'] }, key: crypto.randomUUID() })
// @ts-expect-error: there is no such type
export const wrong: FromClient = { type: 'shout' }
export function read(data: string): Message | number | string | undefined {
  const envelope = JSON.parse(data) as ToClient
  if (envelope.type === 'welcome') return envelope.expiresAt
  if (envelope.type === 'history') return envelope.messages[0]
  if (envelope.type === 'error' && envelope.code === 'rate_limited') return envelope.retryAfterMs
  return envelope.type === 'message' ? envelope.from.user : closeCodes.tokenExpired.code
}
`

const hostWithItsOwn = `
import jwt from '@fastify/jwt'
import rateLimit from '@fastify/rate-limit'
import Fastify from 'fastify'
import roomcast from 'roomcast'

const app = Fastify({ logger: true })
app.setErrorHandler((error, request, reply) => reply.code(error.statusCode ?? 500).send({ host: error.message }))
app.setNotFoundHandler((request, reply) => reply.code(404).send({ host: 'nothing' }))
app.decorate('authenticate', (request) => request.jwtVerify())
await app.register(jwt, { secret: 'the secret of the host, which is another one' })
await app.register(rateLimit, { global: false })
await app.register(roomcast, { jwtSecret: [process.env.JWT_SECRET, 'a second secret that roomcast takes as well'] })
app.get('/token', async () => app.jwt.sign({ sub: 'of the host' }))
app.get('/me', { preValidation: app.authenticate }, async (request) => request.user)
app.get('/boom', async () => { throw new Error('boom') })
app.get('/rare', { config: { rateLimit: { max: 1 } } }, async () => 'ok')
await app.listen({ port: 0 })
`

t.test('a host keeps its own error handler, 404, rate limit and tokens', async (t) => {
  const host = await startHost(t, 'own.mjs', hostWithItsOwn)
  const get = async (path: string, headers: Record<string, string> = {}) => {
    const response = await fetch(`http://127.0.0.1:${host.port}${path}`, { headers })
    return { status: response.status, text: await response.text() }
  }
  t.strictSame(await get('/boom'), { status: 500, text: '{"host":"boom"}' })
  t.strictSame(await get('/nowhere'), { status: 404, text: '{"host":"nothing"}' })
  t.strictSame(await get('/rare'), { status: 200, text: 'ok' })
  t.match(await get('/rare'), { status: 429, text: '{"host":' })
  const { text: token } = await get('/token')
  t.match(await get('/me', { authorization: `Bearer ${token}` }), { status: 200, text: 'of the host' })
  t.match(await get('/me', { authorization: `Bearer ${tokenFor('ada')}` }), { status: 401 })

  t.match(await get('/health'), { status: 200, text: '"status":"healthy"' })
  t.match(await get('/ws'), { status: 426, text: '"error":"bad_upgrade"' })
  const stranger = await RawSocket.upgrade({ host: '127.0.0.1', port: host.port }, `/ws?token=${token}`)
  t.match(stranger.response, { status: 401 }, "the host's tokens are not roomcast's")
  stranger.destroy()
  const client = await connect(host, '/ws', 'ada')
  await client.join('general')
  await client.close()
})

t.test('a CommonJS app gets the plugin from require', async (t) => {
  const code = `
    const roomcast = require('roomcast')
    const app = require('fastify')()
    app.register(roomcast, { jwtSecret: '${SECRET}' })
    app.ready().then(() => console.log(typeof app.hub.publish)).then(() => app.close())
  `
  const host = startProgram(t, process.execPath, ['--input-type=commonjs', '--eval', code], { cwd: app })
  t.equal(await host.exited(), 0, host.stderr)
  t.equal(host.stdout, 'function\n')
})

t.test("the host's OpenAPI document shows none of roomcast's routes", async (t) => {
  const code = `
    import swagger from '@fastify/swagger'
    import Fastify from 'fastify'
    import roomcast from 'roomcast'
    const app = Fastify()
    await app.register(swagger, { openapi: { openapi: '3.0.3', info: { title: 'mine', version: '1' } } })
    await app.register(roomcast, { prefix: '/realtime', jwtSecret: '${SECRET}' })
    app.get('/mine', async () => 'mine')
    await app.ready()
    console.log(JSON.stringify(app.swagger().paths))
    await app.close()
  `
  const host = startProgram(t, process.execPath, ['--input-type=module', '--eval', code], { cwd: app })
  t.equal(await host.exited(), 0, host.stderr)
  t.strictSame(Object.keys(JSON.parse(host.stdout)), ['/mine'])
})

t.test('the links in the packed documents lead to packed files', async (t) => {
  const root = join(app, 'node_modules/roomcast')
  const pages = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter(
    (path) => path.endsWith('.md') && !path.includes('node_modules'),
  )
  t.ok(pages.length > 6)
  const broken = pages.flatMap((page) =>
    [...readFileSync(join(root, page), 'utf8').matchAll(/\]\(([^)\s#]+)/g)]
      .map(([, link]) => link as string)
      .filter((link) => !/^https?:/.test(link) && !existsSync(join(root, dirname(page), link)))
      .map((link) => `${page}: ${link}`),
  )
  t.strictSame(broken, [])
})
