// Fairness: what a large room, slow clients and a busy client do to the others. The crowd is bench/load, which is C.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { buildLoad, type LoadOptions, type LoadResult, runLoad } from '../../bench/load.ts'
import { connect } from '../support/client.ts'
import { quantile } from '../support/crowd.ts'
import { Inspector, inspected } from '../support/inspector.ts'
import { type Env, type Server, startServer } from '../support/server.ts'
import { tokenFor } from '../support/token.ts'
import { pace } from '../support/until.ts'

const MB = 1024 * 1024
const folder = mkdtempSync(join(tmpdir(), 'roomcast-fairness-'))
t.teardown(() => rmSync(folder, { recursive: true }))
const program = buildLoad(folder)
const tokensFile = join(folder, 'tokens')
writeFileSync(tokensFile, `${tokenFor('crowd')}\n`)

const speech = {
  path: '/ws?token=%TOKEN%',
  join: '{"type":"join","room":"r%ROOM%"}',
  joined: '"type":"joined"',
  message: '{"type":"message","room":"r%ROOM%","content":{"s":%SEQ%,"t":%T%,"p":"%PAD%"}}',
}
const crowdOf = (options: Partial<LoadOptions>): LoadOptions => ({
  ...{ members: 10_000, rooms: 1, rate: 10, size: 64, dialing: 16, warmS: 1, runS: 8, settleS: 1 },
  ...options,
})

async function serverFor(t: Test, env: Env = {}): Promise<Server> {
  const server = await startServer({ CONNECT_RATE_MAX: '0', MESSAGE_RATE: '0', ...env })
  t.teardown(() => server.stop())
  return server
}

/** Two in a small room; until `stop` one of them says something every 20 ms. Resolves with the delays, in order. */
async function smallTalk(server: Server): Promise<() => Promise<number[]>> {
  const [a, b] = await Promise.all([connect(server, 'a'), connect(server, 'b')])
  await a.join('small')
  await b.join('small')
  const delaysMs: number[] = []
  let isOn = true
  const talking = (async () => {
    for (let n = 0; isOn; n++) {
      const startMs = performance.now()
      a.say('small', n)
      // The next one in order, or it fails.
      const { content } = await b.next('message', 20_000)
      if (content !== n) throw new Error(`${content} instead of ${n}`)
      delaysMs.push(performance.now() - startMs)
      await pace(20)
    }
  })()
  return async () => {
    isOn = false
    await talking
    await Promise.all([a.close(), b.close()])
    return delaysMs
  }
}

async function besides(server: Server, options: Partial<LoadOptions>): Promise<[LoadResult, number[]]> {
  const stop = await smallTalk(server)
  const result = await runLoad(program, speech, crowdOf(options), {
    ports: [server.port],
    pids: [server.pid],
    tokensFile,
  })
  return [result, await stop()]
}

const p99 = (delaysMs: number[]) => Math.round(quantile(delaysMs, 0.99))

t.test('a room of 10,000 with 10 messages a second', async (t) => {
  const server = await serverFor(t, inspected)
  const inspector = await Inspector.open(server)
  await inspector.evaluate(
    `void (globalThis.delay = require('node:perf_hooks').monitorEventLoopDelay({ resolution: 2 })).enable()`,
  )
  const stop = await smallTalk(server)
  const run = runLoad(program, speech, crowdOf({}), { ports: [server.port], pids: [server.pid], tokensFile })
  const connected = async () => (await server.health()).clients >= 10_003
  while (!(await connected())) await pace(200)
  await inspector.evaluate('delay.reset()')
  const result = await run
  const heldMs = (await inspector.evaluate<number>('delay.max')) / 1e6
  const delaysMs = await stop()
  t.equal(result.sound, true, `${result.received} of ${result.owed} deliveries, in order`)
  t.comment(`loop held ${Math.round(heldMs)} ms at most; small room p99 ${p99(delaysMs)} ms`)
  t.ok(heldMs < 50, `the loop is held ${heldMs.toFixed(1)} ms at most`)
  t.ok(p99(delaysMs) < 50, `the small room's p99 is ${p99(delaysMs)} ms`)
  inspector.close()
})

t.test('1,000 clients that never read', async (t) => {
  const delays: number[] = []
  for (const slow of [0, 0.95]) {
    const server = await serverFor(t)
    const [result, delaysMs] = await besides(server, { members: 1050, slow, rate: 50, size: 4096 })
    delays.push(p99(delaysMs))
    t.equal(result.sound, true, `${result.received} of ${result.owed} deliveries to those who read`)
    const grownMb = result.rss_peak_mib - result.rss_joined_mib
    t.comment(
      `${slow * 100} % slow: RSS grew by ${Math.round(grownMb)} MiB, small room p99 ${p99(delaysMs)} ms`,
    )
    t.ok(grownMb < 256, `RSS grew by ${Math.round(grownMb)} MiB`)
    await server.stop()
  }
  const [without = 0, beside = 0] = delays
  t.ok(beside <= without + 20, `the others' p99: ${without} ms without, ${beside} ms beside them`)
})

t.test('a client that sends at its limit', async (t) => {
  const server = await serverFor(t, { MESSAGE_RATE: '100', MESSAGE_BURST: '1000' })
  const quiet = await smallTalk(server)
  await pace(5000)
  const before = p99(await quiet())
  const busy = await connect(server, 'busy')
  await busy.join('its own')
  const sender = setInterval(() => {
    for (let n = 0; n < 10; n++) busy.say('its own', 'x'.repeat(MB / 64))
  }, 100)
  t.teardown(() => clearInterval(sender))
  const beside = await smallTalk(server)
  await pace(5000)
  const during = p99(await beside())
  t.comment(`p99 ${before} ms without, ${during} ms beside it`)
  t.ok(during <= before + 10)
  await busy.close()
})
