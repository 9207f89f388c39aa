// Cases of kind rate-limit, one node, and the "Limits" of the hub's issue.
import { execFile, execFileSync } from 'node:child_process'
import t, { type Test } from 'tap'
import { configFromEnv } from '../../src/config.ts'
import { type Client, connect } from '../support/client.ts'
import { timedHealth } from '../support/cpu-wait.ts'
import { connectCrowd, inBatches, quantile } from '../support/crowd.ts'
import { exchange, isRefusal, tryUpgrade } from '../support/exchange.ts'
import { frame, OPCODE, textFrame } from '../support/frames.ts'
import { hasNginx, Nginx } from '../support/nginx.ts'
import { type Address, RawSocket, upgradeRequest } from '../support/raw-socket.ts'
import { reconnectStorm } from '../support/reconnect-storm.ts'
import { type Env, type Server, startServer } from '../support/server.ts'
import { clientsAre, stillServing } from '../support/still-serving.ts'
import { tokenFor } from '../support/token.ts'
import { pace, pollUntil } from '../support/until.ts'

const FIVE: Env = { CONNECT_RATE_MAX: '5', CONNECT_RATE_WINDOW_MS: '60000' }

async function serverFor(t: Test, env: Env): Promise<Server> {
  const server = await startServer(env, { host: '127.0.0.1' })
  t.teardown(() => server.stop())
  return server
}

/** The status of one upgrade with a good token; what became of it is closed again. */
async function attempt(
  to: Address,
  { lines = [], from }: { lines?: string[]; from?: string } = {},
): Promise<number> {
  const tcp = from === undefined ? {} : { localAddress: from }
  const socket = await RawSocket.upgrade(to, `/ws?token=${tokenFor('a')}`, { lines, tcp })
  socket.destroy()
  return socket.response?.status ?? 0
}

/** How many of each status came of so many attempts. */
async function tally(
  count: number,
  one: (index: number) => Promise<number>,
): Promise<Record<number, number>> {
  const counts: Record<number, number> = {}
  for (const status of await inBatches(count, one, 1)) counts[status] = (counts[status] ?? 0) + 1
  return counts
}

/** A user and network namespace needs no root; whether this machine allows one. */
function hasNamespaces(): boolean {
  try {
    execFileSync('unshare', ['-rn', 'ip', 'link', 'set', 'lo', 'up'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

t.test('B43 without a proxy the sixth connect is refused, whatever the headers say', async (t) => {
  const server = await serverFor(t, FIVE)
  const claims = [
    (n: number) => `X-Forwarded-For: 10.0.0.${n}`,
    (n: number) => `Forwarded: for=10.0.0.${n}`,
    (n: number) => `X-Real-IP: 10.0.0.${n}`,
    (n: number) => `CF-Connecting-IP: 10.0.0.${n}`,
  ]
  const counts = await tally(20, (n) => attempt(server, { lines: [claims[n % 4]?.(n) ?? ''] }))
  t.same(counts, { 101: 5, 429: 15 })
  const refused = await tryUpgrade(server, `?token=${tokenFor('a')}`)
  isRefusal(t, refused, 429, 'rate_limited')
  const retryAfterS = Number(refused.response.headers['retry-after'])
  t.ok(retryAfterS >= 1 && retryAfterS <= 60, `Retry-After ${retryAfterS}`)
  t.equal((await server.health()).code, 200, '/health is not limited')
  t.equal(await attempt(server, { from: '127.0.0.2' }), 101, 'another address is let in')
})

const garbage = [
  'unknown',
  'a',
  '127.0.0.1, , ',
  '1.2.3.4:5',
  ',',
  '::ffff:1.2.3.4%x',
  `${'9'.repeat(10_240)}`,
]

t.test(
  'B43 behind nginx everybody has a bucket of his own, and nobody can choose it',
  { skip: !hasNginx() },
  async (t) => {
    // On ::, so that the proxy's own address comes in its IPv4-mapped form.
    const server = await serverFor(t, { ...FIVE, HOST: '::', TRUST_PROXY: '127.0.0.1' })
    const nginx = await Nginx.start({ upstream: server })
    t.teardown(() => nginx.stop())
    const counts = await tally(40, (n) => attempt(nginx, { from: `127.0.0.${2 + (n % 10)}` }))
    t.same(counts, { 101: 40 }, 'ten addresses, four connects each')
    const forged = await tally(8, (n) =>
      attempt(nginx, { from: '127.0.0.20', lines: [`X-Forwarded-For: 6.6.6.${n}`] }),
    )
    t.same(forged, { 101: 5, 429: 3 }, 'a forger is limited by its real address')
    for (const [i, value] of garbage.entries()) {
      const from = `127.0.0.${30 + i}`
      const tried = await tally(7, () => attempt(nginx, { from, lines: [`X-Forwarded-For: ${value}`] }))
      t.same(tried, { 101: 5, 429: 2 }, `X-Forwarded-For: ${value.slice(0, 20)}`)
    }
    await clientsAre(server, 0)
    t.equal(server.stderr, '')
  },
)

t.test('B43 what a trusted proxy passes on unchecked breaks nothing', async (t) => {
  const server = await serverFor(t, { ...FIVE, TRUST_PROXY: '127.0.0.1, ::1' })
  const mapped = await tally(6, (n) =>
    attempt(server, { lines: [`X-Forwarded-For: ${n % 2 ? '::ffff:' : ''}9.9.9.9`] }),
  )
  t.same(mapped, { 101: 5, 429: 1 }, 'mapped and plain are one')
  const subnet = await tally(6, (n) => attempt(server, { lines: [`X-Forwarded-For: 2001:db8::${n}`] }))
  t.same(subnet, { 101: 5, 429: 1 }, 'a /64 is one')
  for (const value of garbage) {
    const status = await attempt(server, { lines: [`X-Forwarded-For: ${value}`] })
    t.ok(status === 101 || status === 429, `X-Forwarded-For: ${value.slice(0, 20)}: ${status}`)
  }
  const ported = await tally(6, (n) => attempt(server, { lines: [`X-Forwarded-For: 7.7.7.7:${1000 + n}`] }))
  t.same(ported, { 101: 5, 429: 1 }, 'a port does not make another address')
  await clientsAre(server, 0)
})

t.test('B43 a proxy setting that cannot be honoured stops the start and is named', async (t) => {
  for (const value of [
    '1',
    'true',
    '2',
    '10.0.0.0/99',
    '999.1.1.1',
    'fd00::/129',
    'proxy.local',
    'loopback, 1',
  ]) {
    t.throws(
      () => configFromEnv({ TRUST_PROXY: value }),
      { name: 'ConfigError', message: /TRUST_PROXY/ },
      value,
    )
  }
  for (const value of ['1', '10.0.0.0/99']) {
    const server = await startServer({ TRUST_PROXY: value }, { waitForReady: false })
    t.teardown(() => server.stop())
    t.equal((await server.exited()).code, 1, `TRUST_PROXY=${value} ends with code 1`)
    t.match(server.output, /TRUST_PROXY/, 'and names the variable')
    t.notMatch(server.output, /\n\s+at /, 'without a stack')
  }
  await serverFor(t, { TRUST_PROXY: 'loopback, 10.0.0.0/8, fd00::/8' })
})

t.test('B43 on ::, IPv4 hosts have a bucket each and ::1 one of its own', async (t) => {
  const server = await serverFor(t, { ...FIVE, HOST: '::' })
  const hosts = await tally(20, (n) => attempt(server, { from: `127.0.0.${2 + (n % 5)}` }))
  t.same(hosts, { 101: 20 }, 'five IPv4 hosts, four connects each')
  t.same(await tally(6, () => attempt(server)), { 101: 5, 429: 1 })
  t.same(await tally(6, () => attempt({ host: '::1', port: server.port })), { 101: 5, 429: 1 })
})

t.test('B43 a hundred addresses of one /64 share a bucket', { skip: !hasNamespaces() }, async (t) => {
  const setUp =
    'ip link set lo up && ip -6 route add local fd77::/32 dev lo && echo 1 > /proc/sys/net/ipv6/ip_nonlocal_bind && exec "$@"'
  const server = await startServer(
    { ...FIVE, HOST: '::' },
    { prefix: ['unshare', '-rn', 'sh', '-c', setUp, 'sh'] },
  )
  t.teardown(() => server.stop())
  const script = `const { connect } = require('net')
const [port, request, ...sources] = process.argv.slice(1)
const statuses = []
const next = () => {
  const localAddress = sources.shift()
  if (localAddress === undefined) return console.log(statuses.join(' '))
  const s = connect({ host: '::1', port, localAddress }, () => s.write(Buffer.from(request, 'base64')))
  s.once('data', (d) => { statuses.push(d.toString('latin1').split(' ')[1]); s.destroy(); next() })
}
next()`
  const request = Buffer.from(upgradeRequest(`/ws?token=${tokenFor('a')}`)).toString('base64')
  const sources = [
    ...Array.from({ length: 100 }, (_, i) => `fd77::${(i * 600 + 1).toString(16)}:1`),
    'fd77:0:0:1::1',
    'fd77:0:0:2::1',
  ]
  const join = ['-t', String(server.pid), '-U', '-n', '--preserve-credentials']
  const printed = await new Promise<string>((resolve, reject) =>
    execFile(
      'nsenter',
      [...join, process.execPath, '-e', script, String(server.port), request, ...sources],
      { timeout: 20_000 },
      (error, stdout) => (error ? reject(error) : resolve(stdout)),
    ),
  )
  const statuses = printed.trim().split(' ')
  t.same(statuses.slice(0, 5), Array(5).fill('101'))
  t.same(statuses.slice(5, 100), Array(95).fill('429'), 'the sixth and all others are refused')
  t.same(statuses.slice(100), ['101', '101'], 'other /64s are let in')
})

t.test('B46 after a restart everybody is back soon, those behind one address too', (t) =>
  reconnectStorm(t, {
    sharedAddress: 300,
    ownAddress: 700,
    env: { CONNECT_RATE_MAX: '150', CONNECT_RATE_WINDOW_MS: '1000' },
    retryMs: 500,
    backWithinMs: 10_000,
    healthWithinMs: 2_000,
  }),
)

t.test('B46 a refused attempt does not prolong the penalty', async (t) => {
  const server = await serverFor(t, { CONNECT_RATE_MAX: '2', CONNECT_RATE_WINDOW_MS: '1500' })
  const startMs = performance.now()
  t.same(await tally(2, () => attempt(server)), { 101: 2 })
  await pollUntil('let in again although it went on trying', async () => {
    const status = await attempt(server)
    await pace(20)
    return status === 101
  })
  const tookMs = performance.now() - startMs
  t.ok(tookMs > 1_300 && tookMs < 2_500, `after the window of 1,500 ms (${Math.round(tookMs)} ms)`)
})

t.test('B46 /health answers while a room of many is busy and others connect', async (t) => {
  const server = await serverFor(t, { CONNECT_RATE_MAX: '0', MESSAGE_RATE: '0' })
  const members = await connectCrowd(server, 500, ['r'])
  let delivered = 0
  for (const { socket } of members) {
    socket.onFrame = ({ opcode }) => {
      if (opcode === OPCODE.text) delivered++
    }
  }
  const sender = await connect(server, 'sender')
  await sender.join('r')
  const healthMs: number[] = []
  const more: Client[] = []
  const pad = 'x'.repeat(1_000)
  const ticks = 40
  for (let tick = 0; tick < ticks; tick++) {
    const startMs = performance.now()
    sender.say('r', pad)
    const [, ...clients] = await Promise.all([
      timedHealth(server).then(({ ms }) => healthMs.push(ms)),
      ...Array.from({ length: 10 }, () => connect(server, 'late', {}, { record: false })),
    ])
    more.push(...clients)
    await pace(Math.max(0, 50 - (performance.now() - startMs)))
  }
  await pollUntil('every member gets every message', () => delivered === ticks * members.length)
  const p99 = quantile(healthMs, 0.99)
  t.ok(p99 < 500, `/health within 500 ms (${Math.round(p99)} ms)`)
  await clientsAre(server, members.length + 1 + more.length)
  for (const { socket } of [...members, ...more, sender]) socket.destroy()
  await clientsAre(server, 0)
  t.equal(server.stderr, '')
})

const TEN: Env = {
  MESSAGE_RATE: '10',
  MESSAGE_BURST: '10',
  PING_INTERVAL_MS: '60000',
  PONG_TIMEOUT_MS: '60000',
}
let server: Server
t.teardown(() => server?.stop())

t.test('a server that takes ten frames a second', async () => {
  server = await startServer(TEN)
})

t.test('frames over the rate are refused with one notice that says when to go on', async (t) => {
  const [a, b] = [await connect(server, 'a'), await connect(server, 'b')]
  await a.join('r')
  await b.join('r')
  a.socket.write(
    Buffer.concat(Array.from({ length: 30 }, (_, id) => textFrame(`{"type":"ping","id":${id}}`))),
  )
  const notice = await a.next(({ code }) => code === 'rate_limited')
  const pongs = a.received.filter(({ type }) => type === 'pong').map(({ id }) => id)
  t.same(pongs, [...Array(pongs.length).keys()], 'the burst is answered')
  t.ok(pongs.length >= 9 && pongs.length <= 10, `${pongs.length} of them`)
  const { retryAfterMs } = notice
  t.ok(Number.isInteger(retryAfterMs) && Number(retryAfterMs) > 0 && Number(retryAfterMs) <= 100)
  await pace(Number(retryAfterMs))
  await a.fence()
  t.equal(a.received.filter(({ type }) => type === 'error').length, 1, 'one notice for 20 refused ones')
  t.notOk(
    a.received.some(({ id }) => Number(id) > 10),
    'refused ones are not carried out later',
  )
  // Others have a budget of their own.
  for (let i = 0; i < 5; i++) t.equal((await b.publish('r', i)).type, 'ack')
  t.equal(a.socket.end, undefined, 'and it stays')
  for (const client of [a, b]) await client.close()
})

t.test('at most one notice a second', async (t) => {
  const limited = await serverFor(t, { ...TEN, MESSAGE_BURST: '20' })
  const a = await connect(limited, 'a')
  const notices: number[] = []
  a.onEnvelope = ({ code }) => {
    if (code === 'rate_limited') notices.push(performance.now())
  }
  // 40 a second, 10 of them let through: refused for 2.5 s, 75 in all, less than 10 bursts.
  for (let i = 0; notices.length < 3; i++) {
    if (i > 400) throw new Error('no third notice')
    a.send({ type: 'ping' })
    await pace(25)
  }
  for (const [i, atMs] of notices.entries()) {
    if (i > 0) t.ok(atMs - (notices[i - 1] as number) > 950, 'a second lies between them')
  }
  t.equal(a.socket.end, undefined)
  a.socket.destroy()
})

t.test('every frame counts: control frames, binary, malformed and unknown ones', async (t) => {
  for (const [name, bytes] of [
    ['pings of the protocol', frame(OPCODE.ping, 'p')],
    ['pongs nobody asked for', frame(OPCODE.pong, 'p')],
    ['no JSON', textFrame('{')],
    ['empty texts', textFrame('')],
    ['unknown types', textFrame('{"type":"nope"}')],
    ['refused requests', textFrame('{"type":"message","room":"r","content":1}')],
  ] as const) {
    const a = await connect(server, 'a')
    a.socket.write(Buffer.concat(Array(40).fill(bytes)))
    await a.next(({ code }) => code === 'rate_limited')
    const answers = a.received.length - 2
    t.ok(answers <= 11, `${name}: ${answers} answered of 40`)
    t.equal(a.socket.end, undefined)
    await a.close()
  }
  const a = await connect(server, 'a')
  a.socket.write(
    Buffer.concat([
      ...Array(11).fill(textFrame('{"type":"ping"}')),
      ...Array(300).fill(frame(OPCODE.binary, 'b')),
    ]),
  )
  t.match(String((await a.closed()).code), /^(1003|4429)$/, 'binary frames end it one way or the other')
  await a.socket.ended(3_000)
  a.socket.destroy()
  await clientsAre(server, 0)
})

t.test('who goes on and on is closed with 4429 and told when to come back', async (t) => {
  const witness = await connect(server, 'witness')
  await witness.join('r')
  for (const bytes of [
    textFrame('{"type":"ping"}'),
    frame(OPCODE.ping),
    frame(OPCODE.pong),
    textFrame('{'),
  ]) {
    const a = await connect(server, 'a')
    a.socket.write(Buffer.concat(Array(500).fill(bytes)))
    const { code, reason } = await a.closed()
    t.equal(code, 4429)
    t.match(reason, /^retry after [1-9]\d* s$/)
    await a.socket.ended(3_000)
    a.socket.destroy()
    await clientsAre(server, 1)
  }
  await stillServing(t, server, { bystander: witness, open: 1 })
  await witness.close()
})

t.test('coming back brings no new bucket, after 4429 neither', async (t) => {
  const pings = (count: number) => Buffer.concat(Array(count).fill(textFrame('{"type":"ping"}')))
  const first = await connect(server, 'comes-back')
  first.socket.write(pings(500))
  t.equal((await first.closed()).code, 4429)
  const answered: number[] = []
  for (let life = 0; life < 5; life++) {
    const client = await connect(server, 'comes-back')
    client.socket.write(pings(20))
    const { retryAfterMs } = await client.next(({ code }) => code === 'rate_limited')
    answered.push(client.received.filter(({ type }) => type === 'pong').length)
    t.ok(Number(retryAfterMs) <= 100, 'and says when to go on')
    await client.close()
  }
  const all = answered.reduce((sum, count) => sum + count)
  t.ok(all < 20, `${answered.join(', ')} answered of 20 each`)
  first.socket.destroy()
  const other = await connect(server, 'other')
  other.socket.write(pings(10))
  await pollUntil('another user has its own', () => other.received.length === 11)
  await other.close()
})

t.test('ten clients of one user send what they may, a hundred no more than ten', async (t) => {
  const clients = await Promise.all(Array.from({ length: 100 }, () => connect(server, 'many')))
  const startMs = performance.now()
  for (const { socket } of clients) socket.write(Buffer.concat(Array(10).fill(textFrame('{"type":"ping"}'))))
  await pollUntil('each is answered or refused', () => clients.every(({ received }) => received.length > 1))
  const pongs = clients.flatMap(({ received }) => received).filter(({ type }) => type === 'pong').length
  const most = 100 + (performance.now() - startMs) / 10
  t.ok(pongs >= 100 && pongs <= most, `${pongs} answered, ${Math.round(most)} at most`)
  for (const { socket } of clients) socket.destroy()
  await clientsAre(server, 0)
})

t.test('users without a name share what their address may send', async (t) => {
  const open = await serverFor(t, { ...TEN, JWT_REQUIRE_SUB: 'false', USER_RATE_FACTOR: '2' })
  const token = tokenFor('', { sub: undefined })
  const answered = async (from: string) => {
    const client = await connect(open, '', {}, { token, tcp: { localAddress: from } })
    client.socket.write(Buffer.concat(Array(12).fill(textFrame('{"type":"ping"}'))))
    await client.next(({ code }) => code === 'rate_limited')
    await client.close()
    return client.received.filter(({ type }) => type === 'pong').length
  }
  const startMs = performance.now()
  const here: number[] = []
  for (let n = 0; n < 6; n++) here.push(await answered('127.0.0.1'))
  // Twice what one may: 20 at once, and 20 a second.
  const most = 20 + (performance.now() - startMs) / 50
  const all = here.reduce((sum, count) => sum + count, 0)
  t.ok(here[1] === 10 && all <= most, `${here.join(', ')} answered of 12 each, ${Math.round(most)} at most`)
  t.equal(await answered('127.0.0.2'), 10)
})

t.test('a flood of frames costs the others nothing', async (t) => {
  const server = await serverFor(t, { MESSAGE_RATE: '100', MESSAGE_BURST: '1000' })
  const [a, b] = [await connect(server, 'a', {}, { record: false }), await connect(server, 'b')]
  await b.join('r')
  a.socket.write(Buffer.concat(Array(50_000).fill(textFrame('{"type":"ping"}'))))
  const startMs = performance.now()
  await b.fence()
  t.ok(performance.now() - startMs < 1_000, 'served meanwhile')
  t.equal((await a.closed()).code, 4429)
  a.socket.destroy()
  await stillServing(t, server, { bystander: b, open: 1 })
  await b.close()
})

t.test('MAX_CLIENTS is kept exactly, and said with 503 and Retry-After', async (t) => {
  const server = await serverFor(t, { MAX_CLIENTS: '10', CONNECT_RATE_MAX: '0' })
  const sockets = await Promise.all(Array.from({ length: 50 }, () => RawSocket.open(server)))
  for (const socket of sockets) socket.write(upgradeRequest(`/ws?token=${tokenFor('a')}`))
  const answers = await Promise.all(sockets.map((socket) => socket.answer()))
  t.equal(answers.filter(({ status }) => status === 101).length, 10, 'ten are let in')
  t.equal(answers.filter(({ status }) => status === 503).length, 40, 'and forty refused')
  await clientsAre(server, 10)
  const refused = await tryUpgrade(server, `?token=${tokenFor('a')}`)
  isRefusal(t, refused, 503, 'full')
  t.match(refused.response.headers['retry-after'], /^[1-9]\d*$/)
  isRefusal(t, await exchange(server, upgradeRequest('/ws?token=bad')), 503, 'full')
  sockets.find(({ upgraded }) => upgraded)?.reset()
  await clientsAre(server, 9)
  const last = await connect(server, 'a')
  t.equal((await tryUpgrade(server, `?token=${tokenFor('a')}`)).response.status, 503)
  await last.close()
  for (const socket of sockets) socket.destroy()
  await clientsAre(server, 0)
})
