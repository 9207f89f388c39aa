// Case B23: a room in which some members stop reading, one of them for good.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Test } from 'tap'
import { type Client, connect } from './client.ts'
import { cpuWait, timedHealth } from './cpu-wait.ts'
import { ask, connectCrowd, quantile, Reader } from './crowd.ts'
import { textFrame } from './frames.ts'
import { type Address, upgradeRequest } from './raw-socket.ts'
import { type Server, startServer } from './server.ts'
import { clientsAre } from './still-serving.ts'
import { tokenFor } from './token.ts'
import { pace } from './until.ts'

export interface SlowRoomOptions {
  policy: 'drop' | 'disconnect'
  /** Without a room: to every client. */
  broadcast: boolean
  healthy: number
  messages: number
  everyMs: number
  /**
   * So many messages of 64 KB go to the stalled ones alone during the first half, to fill the kernel's buffers
   * (some 4 MB) sooner.
   */
  fill: number
  /** What every latency must be below; the case says 250 on an idle machine. */
  withinMs: number
}

const KB = 1024

/** Who is in the room, and what is seen of them meanwhile. */
interface Cast {
  server: Server
  sender: Client
  churner: Client
  healthy: Reader[]
  stalled: Reader[]
  killStalled: () => void
}

export async function slowRoom(t: Test, options: SlowRoomOptions): Promise<void> {
  const cast = await assemble(t, options)
  const { server, healthy, stalled } = cast
  const all = options.healthy + 2 + 3
  const left = options.policy === 'drop' ? all - 1 : all - 3
  const waited = cpuWait(server)
  const watch = watchHealth(server)
  const churn = churnRooms(cast.churner)
  await play(cast, options)
  for (const reader of healthy) await reader.reads(options.messages - 1, 10_000)
  await clientsAre(server, left)
  const [health, churnMs] = [await watch.stop(), await churn.stop()]
  const withinMs = options.withinMs + waited()

  t.ok(
    healthy.every(({ seqs, isOrdered }) => seqs.length === options.messages && isOrdered),
    'healthy clients: every message, once, in order',
  )
  const latenciesMs = healthy.flatMap((reader) => reader.latenciesMs)
  const p99 = quantile(latenciesMs, 0.99)
  t.ok(p99 < withinMs, `healthy clients: p99 below ${Math.round(withinMs)} ms (${Math.round(p99)} ms)`)
  const worst = quantile(latenciesMs, 1)
  t.ok(worst < 4 * withinMs, `no pause when a stalled client is dropped (${Math.round(worst)} ms at most)`)
  t.ok(
    health.every(({ ms }) => ms < options.withinMs),
    '/health answers all the while',
  )
  t.ok(
    health.every(({ clients }) => clients >= left && clients <= all),
    '/health never counts wrong',
  )
  t.ok(churnMs.length > 5 && churnMs.every((ms) => ms < withinMs), 'joins and leaves work during all of it')
  if (options.policy === 'drop') await checkDropped(t, stalled, options)
  else await checkCut(t, stalled)
  t.equal(server.stderr, '', 'nothing on stderr')
  for (const client of [cast.sender, cast.churner, ...healthy.map(({ client }) => client)]) {
    client.socket.destroy()
  }
  t.equal((await server.stop()).code, 0)
}

async function assemble(t: Test, options: SlowRoomOptions): Promise<Cast> {
  const server = await startServer({
    SLOW_CLIENT: options.policy,
    OUTBOX_MAX_BYTES: String(256 * KB),
    MESSAGE_RATE: '0',
    CONNECT_RATE_MAX: '0',
  })
  t.teardown(() => server.stop())
  const room = options.broadcast ? undefined : 'r'
  const [sender, churner] = [await connect(server, 'sender'), await connect(server, 'churner')]
  await sender.join('r')
  await sender.join('fill')
  const healthy = await connectCrowd(server, options.healthy, ['r'])
  const stalled = await connectCrowd(server, 2, ['r', 'fill'])
  for (const client of stalled) client.socket.pause()
  const child = await stalledProcess(t, server)
  return {
    server,
    sender,
    churner,
    healthy: healthy.map((client) => new Reader(client, room)),
    stalled: stalled.map((client) => new Reader(client, room)),
    killStalled: () => child.kill('SIGKILL'),
  }
}

/** A member of r in a process of its own that reads its `joined` and then nothing more. */
async function stalledProcess(t: Test, address: Address) {
  const script = `const options = { port: ${address.port}, host: '${address.host}', rejectUnauthorized: false }
const s = require('${address.tls ? 'tls' : 'net'}').connect(options)
s.write(Buffer.from(process.argv[1], 'base64'))
let text = ''
s.on('data', (d) => { text += d.toString('latin1'); if (text.includes('"joined"')) { s.pause(); console.log('joined') } })
setInterval(() => {}, 1000)`
  const bytes = Buffer.concat([
    Buffer.from(upgradeRequest(`/ws?token=${tokenFor('process')}`)),
    textFrame('{"type":"join","room":"r"}'),
  ])
  const child = spawn(process.execPath, ['-e', script, bytes.toString('base64')], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const kill = () => child.kill('SIGKILL')
  process.on('exit', kill)
  t.teardown(() => {
    kill()
    process.removeListener('exit', kill)
  })
  await once(createInterface({ input: child.stdout }), 'line')
  return child
}

/** Sends everything on time; in the middle two stalled clients read again and the third is killed. */
async function play(cast: Cast, options: SlowRoomOptions): Promise<void> {
  const { sender, stalled } = cast
  const pad = 'x'.repeat(10 * KB)
  const filler = 'x'.repeat(64 * KB)
  const half = Math.floor(options.messages / 2) - 10
  let filled = 0
  const startMs = performance.now()
  for (let seq = 0; seq < options.messages; seq++) {
    const dueMs = startMs + seq * options.everyMs - performance.now()
    if (dueMs > 0) await pace(dueMs)
    sender.say(options.broadcast ? undefined : 'r', { seq, sentAtMs: performance.now(), pad })
    for (; filled < options.fill && filled * half < options.fill * seq; filled++) sender.say('fill', filler)
    if (seq === Math.floor(options.messages / 2)) {
      if (options.policy === 'disconnect') {
        // The full ones are gone by now; the killed one is not full when only the others were filled.
        await clientsAre(cast.server, options.healthy + 2 + (options.fill > 0 ? 1 : 0), { deadlineMs: 5_000 })
      }
      for (const { client } of stalled) client.socket.resume()
      cast.killStalled()
    }
  }
}

async function checkDropped(t: Test, stalled: Reader[], { broadcast, messages }: SlowRoomOptions) {
  for (const reader of stalled) {
    await ask(reader.client, { type: 'ping' }, 10_000)
    const dropped = reader.dropped.get(broadcast ? '' : 'r') ?? 0
    t.ok(dropped > 0, `told of ${dropped} dropped messages`)
    t.equal(reader.seqs.length + dropped, messages, 'what was read and what was dropped is all there was')
    t.ok(reader.isOrdered, 'order kept')
    reader.client.socket.destroy()
  }
}

async function checkCut(t: Test, stalled: Reader[]): Promise<void> {
  for (const { client, isOrdered } of stalled) {
    await client.socket.ended(5_000)
    // One that does not read for 2 s cannot be told.
    const close = await client.closed().catch(() => undefined)
    t.ok(close === undefined || close.code === 1013, `Close ${close?.code ?? 'could not be sent'}`)
    t.ok(isOrdered, 'order kept')
    client.socket.destroy()
  }
}

interface Watch<T> {
  stop(): Promise<T[]>
}

/** Repeats `step` until it is stopped; resolves with what the steps gave. */
function repeat<T>(step: () => Promise<T>): Watch<T> {
  const results: T[] = []
  let isOn = true
  const done = (async () => {
    while (isOn) results.push(await step())
  })()
  // Handled here too, so that a failure meanwhile waits for `stop`.
  done.catch(() => {})
  return {
    async stop() {
      isOn = false
      await done
      return results
    },
  }
}

/** Polls /health every 50 ms. */
export function watchHealth(server: Server): Watch<{ clients: number; ms: number }> {
  return repeat(async () => {
    const { health, ms } = await timedHealth(server)
    await pace(50)
    return { clients: health.clients, ms }
  })
}

function churnRooms(client: Client): Watch<number> {
  return repeat(async () => {
    const startMs = performance.now()
    await client.join('r')
    await client.leave('r')
    const ms = performance.now() - startMs
    await pace(10)
    return ms
  })
}
