// Cases of kind shutdown, one node, and "Shutdown" of the hub's issue.
import { execFileSync } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, rmSync } from 'node:fs'
import http from 'node:http'
import https from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { type Client, connect, type Envelope } from '../support/client.ts'
import { connectCrowd, inBatches, Reader } from '../support/crowd.ts'
import { isRefusal, tryUpgrade } from '../support/exchange.ts'
import { frame, OPCODE, textFrame } from '../support/frames.ts'
import { freePort } from '../support/free-port.ts'
import { RawSocket, upgradeRequest } from '../support/raw-socket.ts'
import { type Env, type Server, startServer } from '../support/server.ts'
import { clientsAre } from '../support/still-serving.ts'
import { tokenFor } from '../support/token.ts'
import { pace, pollUntil } from '../support/until.ts'

const GRACE_MS = 1_500
const KB = 1024

async function serverFor(t: Test, env: Env = {}): Promise<Server> {
  const server = await startServer({ MESSAGE_RATE: '0', CONNECT_RATE_MAX: '0', ...env })
  t.teardown(() => server.stop('SIGKILL'))
  return server
}

/** Exit code 0, nothing on stderr, no error in the log; resolves with how long it took since `fromMs`. */
async function exitsClean(t: Test, server: Server, fromMs: number, withinMs: number): Promise<void> {
  const exit = await server.exited(withinMs + 2_000)
  const tookMs = performance.now() - fromMs
  t.same(exit, { code: 0, signal: null }, 'exit code 0')
  t.ok(tookMs < withinMs, `within ${withinMs} ms (${Math.round(tookMs)} ms)`)
  t.equal(server.stderr, '', 'nothing on stderr')
  t.same(
    server.logs.filter(({ level }) => Number(level) >= 50),
    [],
    'no error in the log',
  )
}

/** The case's mix of peers, `scale` times as many. */
async function everyPeer(t: Test, server: Server, scale: number) {
  const many = (count: number) => Math.ceil(count * scale)
  const raw: RawSocket[] = []
  t.teardown(() => {
    for (const socket of raw) socket.destroy()
  })
  const sender = await connect(server, 'sender')
  await sender.join('r')
  const normal = (await connectCrowd(server, many(100), ['r'])).map((client) => ({
    client,
    reader: new Reader(client, 'r'),
    told: watchClosing(client),
  }))
  const deaf = await connectCrowd(server, many(50), ['r'], () => ({ answerClose: false }))
  const stalled = await connectCrowd(server, many(25), ['r', 'fill'])
  for (const { socket } of stalled) socket.pause()
  await sender.join('fill')
  // Some 5 MB, more than the kernel takes: the rest waits in their outboxes.
  for (let i = 0; i < 10; i++) await sender.publish('fill', 'x'.repeat(500 * KB))
  const midFrame = await connectCrowd(server, many(10), ['r'])
  for (const { socket } of midFrame) socket.write(textFrame('{"type":"ping","id":"cut"}').subarray(0, 12))
  const open = async (bytes: string) => {
    const socket = await RawSocket.open(server)
    await socket.flush(bytes)
    raw.push(socket)
    return socket
  }
  const upgrade = upgradeRequest(`/ws?token=${tokenFor('late')}`)
  const upgrading = await inBatches(many(10), () => open(upgrade.slice(0, -10)))
  await inBatches(many(5), () => open('GET /health HTTP/1.1\r\nHost: local'))
  const { Agent, get } = server.tls ? https : http
  const agent = new Agent({ keepAlive: true, ...{ rejectUnauthorized: false } })
  t.teardown(() => agent.destroy())
  await new Promise<void>((resolve, reject) => {
    get(server.url('/health'), { agent }, (answer) => answer.resume().on('end', resolve)).on('error', reject)
  })
  raw.push(
    ...[...normal, ...[...deaf, ...stalled, ...midFrame].map((client) => ({ client }))].map(
      ({ client }) => client.socket,
    ),
  )
  await clientsAre(server, 1 + normal.length + deaf.length + stalled.length + midFrame.length, { rooms: 2 })
  return { sender, normal, stalled, upgrading }
}

/** The `closing` envelope and the Close, and in which order they came. */
function watchClosing(client: Client) {
  const told: { reconnectInMs?: number; closedAtMs?: number; code?: number; reason?: string } = {}
  const { onEnvelope } = client
  client.onEnvelope = (envelope) => {
    onEnvelope?.(envelope)
    if (envelope.type === 'closing' && told.closedAtMs === undefined)
      told.reconnectInMs = Number(envelope.reconnectInMs)
  }
  const { onFrame } = client.socket
  client.socket.onFrame = (read) => {
    onFrame?.(read)
    if (read.opcode !== OPCODE.close) return
    told.closedAtMs = read.atMs
    told.code = read.payload.readUInt16BE(0)
    told.reason = read.payload.toString('utf8', 2)
  }
  return told
}

/** One message every 10 ms with an id, until the sender is closed; resolves with the last number acked. */
function sendSteadily(sender: Client) {
  let acked = -1
  sender.onEnvelope = ({ type, id }) => {
    if (type === 'ack') acked = Math.max(acked, Number(id))
  }
  const timer = setInterval(() => {
    if (sender.socket.end) return clearInterval(timer)
    sender.send({
      type: 'message',
      room: 'r',
      content: { seq: sent, sentAtMs: performance.now() },
      id: sent++,
    })
  }, 10)
  let sent = 0
  return {
    get acked() {
      return acked
    },
    stop: () => clearInterval(timer),
  }
}

for (const [name, signals, scale] of [
  ['(1) SIGTERM', ['SIGTERM'], 1],
  ['(2) SIGTERM twice', ['SIGTERM', 'SIGTERM'], 0.2],
  ['(3) SIGINT, and again', ['SIGINT', 'SIGTERM', 'SIGINT'], 0.2],
] as const) {
  t.test(`B51 ${name}, with every kind of peer`, async (t) => {
    const server = await serverFor(t, {
      SHUTDOWN_GRACE_MS: String(GRACE_MS),
      SLOW_CLIENT: 'drop',
      OUTBOX_MAX_BYTES: String(8 * KB * KB),
    })
    const { sender, normal, upgrading } = await everyPeer(t, server, scale)
    const steady = sendSteadily(sender)
    t.teardown(() => steady.stop())
    await sender.socket.until('messages are on their way', () => steady.acked >= 5)

    const fromMs = performance.now()
    server.signal(signals[0])
    await server.log('it is stopping', ({ msg }) => msg === 'draining')
    t.match(await server.health(), { code: 503, status: 'draining' })
    for (const signal of signals.slice(1)) server.signal(signal)
    isRefusal(t, await tryUpgrade(server, `?token=${tokenFor('new')}`), 503, 'draining')
    for (const socket of upgrading.slice(0, 2)) {
      socket.write('YWJj\r\n\r\n')
      t.ok(
        [400, 503].includes((await socket.answer()).status),
        'an upgrade finished after the signal is refused',
      )
    }
    for (const { client } of normal) await client.closed(GRACE_MS)
    const lastMs = Math.max(...normal.map(({ told }) => told.closedAtMs ?? Infinity)) - fromMs
    t.ok(lastMs < 1_000, `normal clients get their Close within 1 s (${Math.round(lastMs)} ms)`)
    t.ok(
      normal.every(({ told }) => told.code === 1001),
      'it is 1001',
    )
    t.ok(
      normal.every(({ told: { reason = '' } }) => reason !== '' && Buffer.byteLength(reason) <= 123),
      `with a reason (${normal[0]?.told.reason})`,
    )
    t.ok(
      normal.every(
        ({ told: { reconnectInMs = -1 } }) => Number.isInteger(reconnectInMs) && reconnectInMs >= 0,
      ),
      '`closing` came before it',
    )
    t.ok(
      normal.every(({ reader: { seqs } }) => seqs.every((seq, i) => seq === i) && seqs.length > steady.acked),
      `every message that was accepted came before it (${steady.acked + 1})`,
    )
    await exitsClean(t, server, fromMs, GRACE_MS + 1_000)
  })
}

t.test('B51 (4) a signal in the first moments', async (t) => {
  // Right behind the listening line, and at moments before it.
  const started = await serverFor(t)
  const fromMs = performance.now()
  started.signal('SIGTERM')
  await exitsClean(t, started, fromMs, 1_000)
  for (const afterMs of [20, 100, 250]) {
    const startMs = performance.now()
    const server = await startServer({}, { waitForReady: false })
    t.teardown(() => server.stop('SIGKILL'))
    await pace(afterMs)
    const tookMs = Math.round(performance.now() - startMs)
    server.signal('SIGTERM')
    const { code, signal } = await server.exited(4_000)
    t.comment(`after ${tookMs} ms: ${code ?? signal}`)
    // Until node runs our first line, it is node itself that ends by the signal.
    t.ok(code === 0 || signal === 'SIGTERM', 'it ends, and not with a failure')
    t.equal(server.stderr, '')
  }
})

t.test('B51 (6) no client at all: gone within 1 s', async (t) => {
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT'] as const) {
    const server = await serverFor(t)
    // A keep-alive connection that is idle is no reason to stay.
    const idle = await RawSocket.open(server)
    idle.write('GET /health HTTP/1.1\r\nHost: a\r\n\r\n')
    await idle.answer()
    const fromMs = performance.now()
    server.signal(signal)
    await exitsClean(t, server, fromMs, 1_000)
    idle.destroy()
  }
})

t.test('B53 (1) readiness falls at once, and no upgrade is let in until the end', async (t) => {
  const server = await serverFor(t, { SHUTDOWN_GRACE_MS: '1500', DRAIN_MS: '1000' })
  const clients = await connectCrowd(server, 20, ['r'])
  // One that does not answer its Close keeps the server until its time is up.
  const deaf = await connect(server, 'deaf', {}, { answerClose: false })
  t.match(await server.health('/health/ready'), { code: 200, status: 'ready' })
  server.signal('SIGTERM')
  await server.log('it is stopping', ({ msg }) => msg === 'draining')
  const seen: Record<string, number> = {}
  const count = (what: string) => {
    seen[what] = (seen[what] ?? 0) + 1
  }
  const failed = (error: unknown) =>
    /ECONNREFUSED|was refused/.test(String(error))
      ? 'refused'
      : /ECONNRESET|ended|hang up/.test(String(error))
        ? 'cut'
        : String(error)
  for (let clients = Infinity; server.alive; ) {
    await Promise.all([
      server.health().then(
        (health) => {
          count(`health ${health.code} ${health.status}`)
          if (health.clients > clients) t.fail('the count rises')
          clients = health.clients
        },
        (error) => count(`health ${failed(error)}`),
      ),
      server.health('/health/ready').then(
        ({ code }) => count(`ready ${code}`),
        (error) => count(`ready ${failed(error)}`),
      ),
      server.health('/health/live').then(
        ({ code }) => count(`live ${code}`),
        (error) => count(`live ${failed(error)}`),
      ),
      tryUpgrade(server, `?token=${tokenFor('new')}`).then(
        ({ response }) => {
          count(`upgrade ${response.status}`)
          if (response.status === 503 && !response.headers['retry-after']) t.fail('a 503 without Retry-After')
        },
        (error) => count(`upgrade ${failed(error)}`),
      ),
    ])
    await pace(50)
  }
  t.comment(JSON.stringify(seen))
  t.ok((seen['health 503 draining'] ?? 0) > 10, '/health says 503 draining')
  t.ok((seen['ready 503'] ?? 0) > 10, '/health/ready says 503')
  t.ok((seen['live 200'] ?? 0) > 10, '/health/live stays 200')
  t.ok((seen['upgrade 503'] ?? 0) > 10, 'upgrades are refused with 503')
  const allowed = /^(health 503 draining|ready 503|live 200|upgrade 503|\w+ refused)$/
  // At the very end the process closes what it has accepted without an answer.
  const others = Object.entries(seen).filter(([what]) => !allowed.test(what))
  t.ok(
    others.every(([what, times]) => / cut$/.test(what) && times <= 1),
    `nothing else was seen (${JSON.stringify(others)})`,
  )
  t.equal((await server.exited()).code, 0)
  for (const { socket } of [...clients, deaf]) socket.destroy()
})

t.test('DRAIN_MS spreads the Closes, and who is not yet told is served meanwhile', async (t) => {
  const drainMs = 1_000
  const server = await serverFor(t, { SHUTDOWN_GRACE_MS: '3000', DRAIN_MS: String(drainMs) })
  const clients = await inBatches(40, (i) => connect(server, `user-${i}`))
  const told = clients.map(watchClosing)
  const last = clients[39] as Client
  const lastButOne = clients[38] as Client
  for (const client of [last, lastButOne]) await client.join('r')
  const fromMs = performance.now()
  server.signal('SIGTERM')
  await clients[10]?.closed()
  t.match(await last.publish('r', 'still here'), { type: 'ack' }, 'the last one publishes')
  t.match(await lastButOne.next('message'), { content: 'still here' })
  for (const client of clients) await client.closed(3_000)
  const times = told.map(({ closedAtMs = 0 }) => closedAtMs - fromMs).sort((a, b) => a - b)
  t.ok((times[0] as number) < 300, `the first at once (${Math.round(times[0] as number)} ms)`)
  const spreadMs = (times[39] as number) - (times[0] as number)
  t.ok(
    spreadMs > drainMs * 0.8 && spreadMs < drainMs * 1.5,
    `spread over DRAIN_MS (${Math.round(spreadMs)} ms)`,
  )
  const gaps = times.slice(1).map((time, i) => time - (times[i] as number))
  t.ok(Math.max(...gaps) < 300, 'evenly')
  t.ok(
    told.every(({ code, reconnectInMs }) => code === 1001 && reconnectInMs !== undefined),
    'each with `closing` and 1001',
  )
  await exitsClean(t, server, fromMs, 4_000)
})

t.test('DRAIN_MS keeps the port open without clients too, so that a balancer sees it', async (t) => {
  const server = await serverFor(t, { SHUTDOWN_GRACE_MS: '3000', DRAIN_MS: '800' })
  const fromMs = performance.now()
  server.signal('SIGTERM')
  let sawMs = 0
  await pollUntil('the port is closed', async () => {
    const health = await server.health('/health/ready').catch(() => undefined)
    if (health?.code === 503) sawMs = performance.now() - fromMs
    return health === undefined
  })
  t.ok(sawMs > 600, `503 was seen for ${Math.round(sawMs)} ms`)
  await exitsClean(t, server, fromMs, 1_800)
})

t.test('what was accepted is delivered before the Close', async (t) => {
  const server = await serverFor(t, { SHUTDOWN_GRACE_MS: '3000' })
  const [a, b] = [await connect(server, 'a'), await connect(server, 'b')]
  await a.join('r')
  await b.join('r')
  // The outboxes are full of larger ones when the signal comes.
  const pad = 'x'.repeat(10 * KB)
  const frames = Array.from({ length: 400 }, (_, id) =>
    textFrame(JSON.stringify({ type: 'message', room: 'r', content: { id, pad }, id })),
  )
  a.socket.write(Buffer.concat(frames))
  await a.next('ack')
  const fromMs = performance.now()
  server.signal('SIGTERM')
  await a.closed()
  await b.closed()
  const acked = a.received.filter(({ type }) => type === 'ack').map(({ id }) => id)
  const got = b.received
    .filter(({ type }) => type === 'message')
    .map(({ content }) => (content as Envelope).id)
  t.comment(`${acked.length} acked, ${got.length} delivered`)
  t.ok(acked.length > 0)
  t.same(got.slice(0, acked.length), acked, 'every acked one, in order')
  for (const client of [a, b])
    t.equal(client.received.at(-1)?.type, 'closing', '`closing` is the last envelope')
  await exitsClean(t, server, fromMs, 1_500)
})

t.test('stubborn peers are destroyed when the grace is over, not before and not much later', async (t) => {
  const server = await serverFor(t, { SHUTDOWN_GRACE_MS: '600' })
  const deaf = await connect(server, 'deaf', {}, { answerClose: false })
  const fromMs = performance.now()
  server.signal('SIGTERM')
  t.equal((await deaf.closed()).code, 1001)
  await pollUntil('its socket is ended', () => deaf.socket.end !== undefined, 2_000)
  const tookMs = performance.now() - fromMs
  t.ok(tookMs > 500 && tookMs < 1_600, `at the grace (${Math.round(tookMs)} ms)`)
  await exitsClean(t, server, fromMs, 1_600)
  deaf.socket.destroy()
})

t.test('a log that nobody reads any more does not hold the server', async (t) => {
  for (const traffic of [false, true]) {
    const server = await serverFor(t, { SHUTDOWN_GRACE_MS: '1000', LOG_LEVEL: 'debug' })
    server.process.stdout?.destroy()
    if (traffic) {
      const client = await connect(server, 'a')
      t.equal((await server.health()).clients, 1, 'it goes on serving')
      await client.close()
    }
    const fromMs = performance.now()
    server.signal('SIGTERM')
    await exitsClean(t, server, fromMs, 1_000)
  }
})

t.test('a reader of the log that is there but does not read does not hold the server', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'roomcast-log-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const pipe = join(folder, 'log')
  execFileSync('mkfifo', [pipe])
  const end = openSync(pipe, 'r+')
  t.teardown(() => closeSync(end))
  const port = await freePort()
  const server = await startServer(
    { SHUTDOWN_GRACE_MS: '1000', LOG_LEVEL: 'debug', PORT: String(port) },
    { prefix: ['/bin/sh', '-c', `exec "$@" >${pipe}`, 'sh'], waitForReady: false },
  )
  t.teardown(() => server.stop('SIGKILL'))
  server.port = port
  await pollUntil('it listens', () => server.health().catch(() => undefined))
  // A pipe takes 64 KiB, and each of these is a line.
  for (let n = 0; n < 100; n++) await Promise.all(Array.from({ length: 50 }, () => server.health()))
  const fromMs = performance.now()
  server.signal('SIGTERM')
  await exitsClean(t, server, fromMs, 1_000)
})

t.test('a grace of 0 is kept too', async (t) => {
  const server = await serverFor(t, { SHUTDOWN_GRACE_MS: '0' })
  const clients = [await connect(server, 'a'), await connect(server, 'deaf', {}, { answerClose: false })]
  clients[1]?.socket.sendFrame(OPCODE.ping)
  clients[1]?.socket.write(frame(OPCODE.text, '{').subarray(0, 3))
  const fromMs = performance.now()
  server.signal('SIGTERM')
  await exitsClean(t, server, fromMs, 1_000)
  for (const { socket } of clients) socket.destroy()
})
