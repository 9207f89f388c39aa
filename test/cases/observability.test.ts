// Cases of kind observability, one node on the memory bridge. B14 is in auth.test.ts.
import { request } from 'node:http'
import t, { type Test } from 'tap'
import { type Client, connect } from '../support/client.ts'
import { clientMix } from '../support/client-mix.ts'
import { cpuWait, timedHealth } from '../support/cpu-wait.ts'
import { connectCrowd, inBatches, quantile } from '../support/crowd.ts'
import { exchange } from '../support/exchange.ts'
import { OPCODE } from '../support/frames.ts'
import { RawSocket, upgradeRequest } from '../support/raw-socket.ts'
import { type Env, type Server, startServer } from '../support/server.ts'
import { clientsAre } from '../support/still-serving.ts'
import { SECRET, tokenFor } from '../support/token.ts'
import { pace, pollUntil } from '../support/until.ts'

async function serverFor(t: Test, env: Env = {}): Promise<Server> {
  const server = await startServer({ CONNECT_RATE_MAX: '0', MESSAGE_RATE: '0', ...env })
  t.teardown(() => server.stop())
  return server
}

t.test('B54 the count follows a thousand connections of every kind', (t) =>
  clientMix(t, { total: 1_008, atATime: 100 }),
)

t.test('B54 the count is exact at every quiet moment, and while 200 a second connect', async (t) => {
  const server = await serverFor(t)
  const open: Client[] = []
  for (let i = 0; i < 20; i++) {
    const client = await connect(server, 'a')
    // The welcome is here, so the client is counted; a reply is here, so its room is.
    await client.join(`room-${i}`)
    open.push(client)
    const { clients, rooms } = await server.health()
    if (clients !== open.length || rooms !== open.length)
      t.fail(`${clients} clients, ${rooms} rooms at ${open.length}`)
  }
  let left = open.length
  for (const client of open.splice(0, 10)) {
    client.socket.sendClose()
    await client.closed()
    // The server has answered the Close, so it counts no longer.
    left--
    const { clients, rooms } = await server.health()
    t.same([clients, rooms], [left, left], 'gone with its Close')
    client.socket.destroy()
  }
  let connected = 0
  const startMs = performance.now()
  for (let tick = 0; tick < 20; tick++) {
    open.push(
      ...(await Promise.all(Array.from({ length: 10 }, () => connect(server, 'b', {}, { record: false })))),
    )
    connected += 10
    t.equal((await server.health()).clients, 10 + connected)
    await pace(Math.max(0, startMs + (tick + 1) * 50 - performance.now()))
  }
  for (const { socket } of open) socket.destroy()
  await clientsAre(server, 0, { rooms: 0 })
})

/** The answer to a request with this method, body unparsed. */
function ask(
  server: Server,
  method: string,
  path: string,
): Promise<{ status: number; type: string; body: string; ms: number }> {
  const startMs = performance.now()
  return new Promise((resolve, reject) => {
    const sent = request(server.url(path), { method, agent: false, timeout: 1_000 }, (answer) => {
      let body = ''
      answer.setEncoding('utf8').on('data', (text: string) => {
        body += text
      })
      answer.on('end', () => {
        const { statusCode: status = 0, headers } = answer
        resolve({ status, type: String(headers['content-type']), body, ms: performance.now() - startMs })
      })
    })
    sent.on('timeout', () => sent.destroy(new Error('no answer within 1 s'))).on('error', reject)
    sent.end()
  })
}

t.test('B55 /health says what it is, in every way of asking', async (t) => {
  const server = await serverFor(t)
  const client = await connect(server, 'a')
  await client.join('r')
  const whole = await ask(server, 'GET', '/health')
  t.equal(whole.status, 200)
  t.match(whole.type, /^application\/json/)
  const body = JSON.parse(whole.body)
  t.match(body, {
    status: 'healthy',
    clients: 1,
    rooms: 1,
    node: client.welcome.node,
    uptimeMs: Number,
    version: /^\d+\.\d+\.\d+/,
    bridge: { kind: 'memory', state: 'up' },
  })
  t.same(
    new Set(Object.keys(body)),
    new Set(['bridge', 'clients', 'node', 'rooms', 'status', 'uptimeMs', 'version']),
    'and nothing else: no address, no secret',
  )
  t.notOk(whole.body.includes(SECRET.slice(0, 10)))
  t.match(JSON.parse((await ask(server, 'GET', '/health?x=1&token=y')).body), {
    status: 'healthy',
    clients: 1,
  })
  const head = await ask(server, 'HEAD', '/health')
  t.equal(head.status, 200)
  t.equal(head.body, '')
  for (const path of ['/health/live', '/health/ready']) {
    t.equal((await ask(server, 'GET', path)).status, 200, path)
    t.equal((await ask(server, 'HEAD', path)).status, 200, `HEAD ${path}`)
  }
  for (const [method, path] of [
    ['POST', '/health'],
    ['DELETE', '/health'],
    ['GET', '/health/'],
    ['GET', '/health/nothing'],
    ['GET', '/%68ealth/x'],
  ] as const) {
    const { status, body } = await ask(server, method, path)
    t.ok(status >= 400 && status < 500, `${method} ${path}: ${status}`)
    t.notMatch(body, /at .*\.[jt]s:\d+/, 'without a stack')
  }
  const upgrade = await exchange(server, upgradeRequest(`/health?token=${tokenFor('a')}`))
  t.match(String(upgrade.response.status), /^4/, 'it does not upgrade')
  await client.close()
})

/** So many /health requests at the same moment, on connections that are there already. */
async function askAtOnce(server: Server, count: number) {
  const sockets = await inBatches(count, () => RawSocket.open(server))
  const startMs = performance.now()
  for (const socket of sockets) socket.write('GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
  const answers = await Promise.all(
    sockets.map(async (socket) => {
      const { status, body } = await socket.answer()
      return { status, ms: performance.now() - startMs, clients: JSON.parse(body).clients as number }
    }),
  )
  for (const socket of sockets) socket.destroy()
  return answers
}

t.test('B55 /health answers at once, 500 times in parallel and while all broadcast', async (t) => {
  const server = await serverFor(t)
  const waited = cpuWait(server)
  const parallel = await askAtOnce(server, 500)
  t.ok(
    parallel.every(({ status, clients }) => status === 200 && clients === 0),
    '500 right answers',
  )
  const ms = quantile(
    parallel.map((answer) => answer.ms),
    0.99,
  )
  t.ok(ms < 1_000 + waited(), `within 1 s (${Math.round(ms)} ms)`)

  const clients = await connectCrowd(server, 200)
  let delivered = 0
  for (const { socket } of clients) {
    socket.onFrame = ({ opcode }) => {
      if (opcode === OPCODE.text) delivered++
    }
  }
  const latencies: number[] = []
  for (let round = 0; round < 10; round++) {
    const expected = delivered + 20 * (clients.length - 1)
    for (const client of clients.slice(round * 20, round * 20 + 20)) client.say(undefined, 'x'.repeat(100))
    const { health, ms } = await timedHealth(server)
    latencies.push(ms)
    t.match(health, { code: 200, clients: clients.length })
    await pollUntil('all are delivered', () => delivered === expected)
  }
  t.ok(
    Math.max(...latencies) < 500,
    `answered while broadcasting (${Math.round(Math.max(...latencies))} ms at most)`,
  )
  for (const { socket } of clients) socket.destroy()
  await clientsAre(server, 0)
})

t.test('requests that Node cannot read are answered and logged as others, without their bytes', async (t) => {
  const server = await serverFor(t, { LOG_LEVEL: 'trace', HANDSHAKE_TIMEOUT_MS: '500' })
  const token = tokenFor('a')
  const good = upgradeRequest(`/ws?token=${token}`)
  const requests: [name: string, bytes: string | Buffer, status: number][] = [
    ['a token of 20 KB', upgradeRequest(`/ws?token=${token}${'a'.repeat(20_000)}`), 431],
    [
      'much in the head',
      upgradeRequest(`/ws?token=${token}`, { lines: [`Cookie: ${'a'.repeat(17_000)}`] }),
      431,
    ],
    ['a PROXY line', `PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n${good}`, 400],
    ['a TLS hello', Buffer.from('16030100c8010000c40303', 'hex'), 400],
    ['an HTTP/2 preface', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400],
    ['a NUL in a header', upgradeRequest(`/ws?token=${token}`, { lines: ['X: a\0b'] }), 400],
    ['no Host', `GET /health?token=${token} HTTP/1.1\r\n\r\n`, 400],
    [
      'a target that is no path',
      `GET /w%zz?token=${token} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`,
      400,
    ],
    ['a CONNECT', `CONNECT a:443 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${token}\r\n\r\n`, 400],
    ['a request that stalls', good.slice(0, -2), 408],
  ]
  for (const [name, bytes, status] of requests) {
    const seen = server.logs.length
    const { response } = await exchange(server, bytes, 4_000)
    t.equal(response.status, status, name)
    t.match(JSON.parse(response.body), { error: 'bad_request', message: String }, name)
    t.match(response.headers, { connection: 'close' })
    await server.log('it is logged', () => server.logs.length > seen)
    t.match(server.logs.slice(seen), [{ msg: 'request refused', status, ip: '127.0.0.1', level: 30 }], name)
  }
  const odd = 'GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\nExpect: nothing\r\n\r\n'
  t.equal((await exchange(server, odd)).response.status, 200, 'an expectation that nobody knows')
  t.notOk(server.output.includes(token), 'no token at any level')
  t.notMatch(server.output, /rawPacket/)
  t.equal(server.stderr, '')
})

t.test(
  'a flood of refusals is a few lines with its number, and what peers say is cut and cleaned',
  async (t) => {
    const server = await serverFor(t, { LOG_LEVEL: 'debug', TRUST_PROXY: 'loopback' })
    const refused = upgradeRequest('/ws', { lines: ['X-Forwarded-For: 192.0.2.7:4711'] })
    const times = 300
    await inBatches(times, async () => {
      t.equal((await exchange(server, refused)).response.status, 401)
    })
    for (const address of ['x'.repeat(9_000), '\u009b31m\u202e', '[2001:db8::7]:4711']) {
      const bytes = Buffer.from(upgradeRequest('/nothing', { lines: [`X-Forwarded-For: ${address}`] }))
      await exchange(server, bytes)
    }
    const user = `\u202e\u009b${'u'.repeat(250)}`
    const client = await connect(server, user)
    await client.join('a')
    client.socket.destroy()
    await server.log('it is gone', ({ msg }) => msg === 'client closing')
    await server.stop()

    const lines = server.logs.filter(({ level }) => Number(level) >= 30)
    const of = (status: number) => lines.filter((line) => line.status === status)
    const singly = of(401).filter(({ msg }) => msg === 'request refused')
    t.ok(singly.length <= 5, `${singly.length} lines`)
    t.match(singly[0], { method: 'GET', path: '/ws', ip: '192.0.2.7' }, 'a port is no part of an address')
    const sums = of(401).filter(({ msg }) => msg === 'more requests refused')
    t.match(sums[0], { path: '/ws', inMs: 10_000 })
    t.equal(
      singly.length + sums.reduce((sum, { count }) => sum + Number(count), 0),
      times,
      'none is uncounted',
    )
    t.strictSame(
      of(404).map(({ ip }) => String(ip).length),
      [129, 8, '2001:db8::7'.length],
    )
    t.match(server.logs.find(({ msg }) => msg === 'client connected')?.user, /^\ufffd\ufffdu{126}…$/)
    t.notMatch(server.output, /[\u0080-\u009f\u202a-\u202e\u2066-\u2069]|x{200}/)
  },
)
