// What the README tells its readers to run, run: with the server as it starts without any settings.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer, type NetConnectOpts } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { openBrowser, servePage } from '../support/browser.ts'
import { connect, type Envelope } from '../support/client.ts'
import { startIssuer } from '../support/issuer.ts'
import { startProgram } from '../support/program.ts'
import { RawSocket } from '../support/raw-socket.ts'
import { readmeBlock } from '../support/readme.ts'
import { startServer } from '../support/server.ts'
import { SECRET, tokenFor } from '../support/token.ts'
import { pollUntil } from '../support/until.ts'

const PRINTED_URL = /^ *(ws:\/\/127\.0\.0\.1:\d+\/ws\?token=\S+)$/
const folder = mkdtempSync(join(tmpdir(), 'roomcast-readme-'))
t.teardown(() => rmSync(folder, { recursive: true, force: true }))

/** A server without settings, and what it prints for a first start. */
async function firstStart(t: Test) {
  const server = await startServer({ JWT_SECRET: '' })
  t.teardown(() => server.stop())
  const find = (pattern: RegExp) => server.stdout.map((line) => pattern.exec(line)?.[1]).find(Boolean)
  const url = await pollUntil('the URL is printed', () => find(PRINTED_URL))
  const wscat = await pollUntil('the wscat line is printed', () => find(/^ *(npx -y wscat .*)$/))
  const envelopes = server.stdout.map((line) => line.trim()).filter((line) => line.startsWith('{"type"'))
  return { server, url, wscat, envelopes }
}

t.test('the printed wscat line, and the envelopes below it, talk between two terminals', async (t) => {
  const { url, wscat, envelopes } = await firstStart(t)
  const shown = readmeBlock('', 'npx -y wscat').trim()
  t.equal(wscat, shown.replace(/ws:[^']*/, url), 'the README shows the line that is printed')
  t.strictSame(readmeBlock('json', '"type":"join"').trim().split('\n'), envelopes, 'and the same envelopes')

  const registry = startProgram(t, 'npm', ['view', 'wscat', 'version'])
  if ((await registry.exited().catch(() => 1)) !== 0) {
    t.comment('the npm registry does not answer: wscat cannot be run')
    return
  }
  const open = async () => {
    const terminal = startProgram(t, 'bash', ['-c', wscat])
    await terminal.prints('"type":"welcome"', 60_000)
    return terminal
  }
  const one = await open()
  const other = await open()
  const [join, message] = envelopes
  for (const terminal of [one, other]) {
    terminal.write(`${join}\n`)
    await terminal.prints('"type":"joined"')
  }
  one.write(`${message}\n`)
  await other.prints('"content":"Hello, world!"')
  t.pass('the other terminal shows the message')
})

t.test('the browser snippet shows its message', async (t) => {
  const { url } = await firstStart(t)
  const html = readmeBlock('html', 'new URL')
    .replace('ws://127.0.0.1:8080/ws?token=…', url)
    .replace('127.0.0.1:8080', new URL(url).host)
  t.match(html, url)
  const browser = await openBrowser(t)
  const page = await browser.newPage()
  await page.goto(await servePage(t, `<!doctype html><meta charset="utf-8"><body></body>${html}`))
  await page.locator('body', { hasText: 'dev: Hello from a page' }).waitFor()
  t.pass('the page shows the message')
})

t.test('the Python snippet prints its message', async (t) => {
  const { url } = await firstStart(t)
  const path = join(folder, 'hello.py')
  writeFileSync(path, readmeBlock('python', 'asyncio.run'))
  const python = startProgram(t, '/usr/bin/python3', ['-u', path, url])
  await python.prints("'content': 'Hello from Python', 'from': {'client': ")
  t.equal(python.stderr, '')
})

t.test(
  'a back end publishes with curl, Node and Python, and with the line that a first start prints',
  async (t) => {
    const { server, url } = await firstStart(t)
    const line = server.stdout
      .slice(server.stdout.findIndex((text) => /^ *curl /.test(text)))
      .slice(0, 2)
      .join('\n')
    const SECRET = /Bearer ([^']+)/.exec(line)?.[1] ?? ''
    const reader = await connect(
      server,
      'reader',
      {},
      { token: new URL(url).searchParams.get('token') ?? '' },
    )
    await reader.join('general')
    const at = (code: string) => code.replace('127.0.0.1:8080', `127.0.0.1:${server.port}`)
    const [js, py] = [join(folder, 'publish.mjs'), join(folder, 'publish.py')]
    writeFileSync(js, at(readmeBlock('js', 'Hello from Node')))
    writeFileSync(py, at(readmeBlock('python', 'a Python back end')))
    for (const [content, command, args] of [
      ['Hello from a back end!', 'bash', ['-c', line]],
      ['Hello from curl', 'bash', ['-c', at(readmeBlock('sh', 'Hello from curl'))]],
      ['Hello from Node', process.execPath, [js]],
      ['Hello from a Python back end', '/usr/bin/python3', [py]],
    ] as const) {
      const program = startProgram(t, command, [...args], { env: { SECRET } })
      await program.prints('cluster')
      t.match(await reader.next('message'), { content, from: { app: true } }, content)
    }
  },
)

t.test('the example in Python prints messages, and comes back after a restart of the server', async (t) => {
  const server = await startServer()
  t.teardown(() => server.stop())
  const token = tokenFor('py')
  const url = `ws://127.0.0.1:${server.port}/ws?token=${token}`
  const python = startProgram(t, '/usr/bin/python3', ['examples/client.py', url, 'news'])
  await python.prints('joined news')
  const client = await connect(server, 'ada')
  await client.join('news')
  client.say('news', 'before')
  await python.prints('ada: before')
  await client.close()
  await server.stop()

  const again = await startServer({ PORT: String(server.port) })
  t.teardown(() => again.stop())
  await python.until('it joins again', () => python.stdout.split('joined news').length === 3 || undefined)
  const late = await connect(again, 'bob')
  await late.join('news')
  late.say('news', 'after')
  await python.prints('bob: after')
  t.equal(python.code, undefined, 'it goes on')
  await late.close()
})

t.test('the lines for recovery are enough, also when the history begins anew', async (t) => {
  const lines = readmeBlock('js', 'const seen').split('\n')
  const begin = lines.findIndex((line) => line.startsWith('// for each envelope'))
  const source = [
    ...lines.slice(0, begin),
    'return ({ type, room, recovered, epoch, offset }) => {',
    ...lines.slice(begin),
    '}',
  ]
  const recover = new Function('socket', 'send', source.join('\n')) as (
    socket: { onopen: () => void },
    send: (envelope: Envelope) => void,
  ) => (envelope: Envelope) => void
  const server = await startServer({
    HISTORY_TOTAL_BYTES: '1048576',
    HISTORY_MAX_BYTES: '2097152',
    MESSAGE_RATE: '0',
  })
  t.teardown(() => server.stop())
  const ada = await connect(server, 'ada')
  await ada.join('general')
  let bob = await connect(server, 'bob')
  const socket = { onopen: () => {} }
  const handle = recover(socket, (envelope) => bob.send(envelope))
  const open = async () => {
    bob.onEnvelope = handle
    socket.onopen()
    return bob.next('joined')
  }
  await open()
  await ada.publish('general', 1)
  await bob.next('message')
  await bob.close()
  await ada.publish('general', 2)
  bob = await connect(server, 'bob')
  t.match(await open(), { recovered: true, missed: 1 })
  t.match(await bob.next('message'), { content: 2 })
  // Rooms in which nobody speaks make way for a large one.
  await ada.join('large')
  for (let n = 0; n < 5; n++) await ada.publish('large', 'x'.repeat(250_000))
  await ada.publish('general', 3)
  await bob.next('reset')
  const { epoch } = await bob.next('joined')
  t.ok(
    bob.received.some(({ type, recovered }) => type === 'joined' && recovered === false),
    'load anew',
  )
  await ada.publish('general', 4)
  await bob.next(({ content }) => content === 4)
  await bob.close()
  await ada.publish('general', 5)
  bob = await connect(server, 'bob')
  t.match(await open(), { recovered: true, missed: 1, epoch }, 'and it goes on from there')
  await Promise.all([ada.close(), bob.close()])
})

t.test('the signing snippet makes a token that the server takes, for the user that it names', async (t) => {
  const server = await startServer()
  t.teardown(() => server.stop())
  const path = join(folder, 'sign.mjs')
  writeFileSync(path, readmeBlock('js', 'createHmac'))
  const signer = startProgram(t, process.execPath, [path], { env: { JWT_SECRET: SECRET } })
  t.equal(await signer.exited(), 0, signer.stderr)
  const client = await connect(server, '', {}, { token: signer.stdout.trim() })
  t.match(client.welcome, { user: 'ada', expiresAt: Number })
  await client.close()
})

t.test(
  'a locked-down server allows what the claim `can` of the README names, and nothing else',
  async (t) => {
    t.match(readmeBlock('sh', 'DEFAULT_CAN'), "DEFAULT_CAN='{}'")
    const server = await startServer({ DEFAULT_CAN: '{}' })
    t.teardown(() => server.stop())
    const { sub, can } = JSON.parse(readmeBlock('json', '"can"')) as { sub: string; can: object }
    const ada = await connect(server, sub, { can })
    const tries = async (type: string, room?: string) => {
      const { type: answer, code } = await ada.request({
        type,
        ...(room && { room }),
        ...(type === 'message' && { content: 1 }),
      })
      return code ?? answer
    }
    for (const room of ['lobby', 'team-7.', 'team-7.news', 'user.ada'])
      t.equal(await tries('join', room), 'joined', room)
    for (const room of ['lobby2', 'team-8.news', 'user.bob', 'user.$user'])
      t.equal(await tries('join', room), 'forbidden', room)
    t.equal(await tries('message', 'team-7.news'), 'ack')
    t.equal(await tries('message', 'lobby'), 'forbidden')
    t.equal(await tries('message'), 'forbidden', 'no broadcast')
    const nobody = await connect(server, 'nobody')
    t.match(await nobody.request({ type: 'join', room: 'lobby' }), { code: 'forbidden' })
    await Promise.all([ada.close(), nobody.close()])
  },
)

t.test('behind the nginx of the README, clients connect and each counts by its own address', async (t) => {
  const server = await startServer({
    TRUST_PROXY: '127.0.0.1',
    CONNECT_RATE_MAX: '1',
    CONNECT_RATE_WINDOW_MS: '60000',
  })
  t.teardown(() => server.stop())
  const port = await freePort()
  const block = readmeBlock('nginx', 'proxy_pass')
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

t.test('with the settings of the README, the tokens of an OIDC issuer log in', async (t) => {
  const block = readmeBlock('sh', 'JWT_ISSUERS')
  const [, url = '', audience = ''] = /^JWT_ISSUERS=(\S+) JWT_AUDIENCE=(\S+) npm start$/m.exec(block) ?? []
  const issuer = await startIssuer(t)
  issuer.addKey('k', 'RS256')
  t.equal(url, 'https://login.example.com')
  const server = await startServer({
    JWT_SECRET: '',
    NODE_ENV: 'production',
    JWT_ISSUERS: issuer.url,
    JWT_AUDIENCE: audience,
  })
  t.teardown(() => server.stop())
  const ada = await connect(server, '', {}, { token: issuer.token('ada', 'k', { aud: [audience] }) })
  t.match(ada.welcome, { user: 'ada' })
  await ada.close()
})

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

t.test(
  'with the rules of the README only the app speaks in the news, and cursors are kept nowhere',
  async (t) => {
    const [, ROOM_RULES = ''] =
      /^ROOM_RULES='([^']*)' npm start$/m.exec(readmeBlock('sh', '"match": "news"')) ?? []
    const server = await startServer({ ROOM_RULES })
    t.teardown(() => server.stop())
    const ada = await connect(server, 'ada')
    for (const room of ['news', 'cursors.7', 'team-7']) await ada.join(room)
    t.match(await ada.request({ type: 'message', room: 'news', content: 1 }), {
      type: 'error',
      code: 'forbidden',
    })
    t.notOk('offset' in (await ada.publish('cursors.7', 1)))
    t.match(await ada.publish('team-7', 1), { offset: 1 })
    const many = await Promise.all(
      Array.from({ length: 500 }, () => ada.request({ type: 'message', room: 'cursors.7', content: 1 })),
    )
    t.ok(many.some(({ code }) => code === 'rate_limited'))
    await ada.close()
  },
)

t.test('the last 20 messages come at load, and curl reads them too', async (t) => {
  const server = await startServer()
  t.teardown(() => server.stop())
  const ada = await connect(server, 'ada')
  await ada.join('general')
  for (let n = 1; n <= 25; n++) ada.say('general', n)
  await ada.fence()
  const bob = await connect(server, 'bob')
  new Function('socket', readmeBlock('js', 'last: 20'))(bob)
  t.match(await bob.next('joined'), { missed: 20 })
  for (let n = 6; n <= 25; n++) t.equal((await bob.next('message')).content, n)
  const line = readmeBlock('sh', 'curl -N').trim()
  const command = line
    .replace('127.0.0.1:8080', `${server.host}:${server.port}`)
    .replace('$TOKEN', tokenFor('eve'))
  const curl = startProgram(t, 'bash', ['-c', command])
  await curl.prints('"content":6,')
  await curl.prints('"content":25,')
  for (const client of [ada, bob]) await client.close()
})

t.test('the snippet of who is in the room keeps its list, with the rule beside it', async (t) => {
  const [, ROOM_RULES = ''] =
    /^ROOM_RULES='(.*)' npm start$/m.exec(readmeBlock('sh', '"presence": true')) ?? []
  const server = await startServer({ ROOM_RULES })
  t.teardown(() => server.stop())
  const ada = await connect(server, 'ada')
  const socket = {
    send: (text: string) => ada.send(text),
    addEventListener: (_type: string, listener: (event: { data: string }) => void) => {
      ada.onEnvelope = (envelope) => listener({ data: JSON.stringify(envelope) })
    },
  }
  const code = `${readmeBlock('js', 'presence: true')}\nreturn here`
  const here = new Function('socket', code)(socket) as Map<string, unknown>
  const has = (users: string) => pollUntil(users, () => [...here.keys()].join() === users || undefined)
  await has('ada')
  const bob = await connect(server, 'bob', { info: { name: 'Bob' } })
  await bob.join('team-7')
  await has('ada,bob')
  t.strictSame(here.get('bob'), { name: 'Bob' })
  await bob.close()
  await has('ada')
  await ada.close()
})
