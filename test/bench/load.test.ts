// The load generator sees every kind of fault: a benchmark that overlooks a loss would reward it.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { launch } from '../../bench/launch.ts'
import { buildLoad, type LoadOptions, type LoadResult, runLoad, type Speech } from '../../bench/load.ts'
import { faultOf } from '../../bench/results.ts'

const folder = mkdtempSync(join(tmpdir(), 'roomcast-load-'))
t.teardown(() => rmSync(folder, { recursive: true }))
const program = buildLoad(folder)

const speech: Speech = {
  path: '/',
  join: '{"type":"join"}',
  joined: '"joined"',
  message: '{"content":{"s":%SEQ%,"t":%T%,"p":"%PAD%"}}',
}
const options: LoadOptions = {
  members: 5,
  rooms: 1,
  rate: 100,
  size: 10,
  dialing: 2,
  warmS: 0.1,
  runS: 0.3,
  settleS: 0,
}

const server = await launch([process.execPath, '--import', 'tsx', 'test/support/lossy-server.ts'])
t.teardown(() => server.stop())

let runs = 0

function loadOn(fault: string, chosen: LoadOptions = options): Promise<LoadResult> {
  const path = `/${fault}?${++runs}`
  return runLoad(program, { ...speech, path }, chosen, { ports: [server.port], pids: [server.pid] })
}

t.test('a server that delivers everything once and in order is sound', async (t) => {
  const result = await loadOn('none')
  t.match(result, { sound: true, received_over_sent: 1, lost: 0, disordered: 0, echoed: 0, closed: 0 })
  t.ok(result.sent >= 30, 'the rate is kept')
  t.equal(result.received, result.sent * 5)
  t.ok(result.latency && result.latency.p50_ms > 0 && result.latency.p99_ms <= result.latency.max_ms)
  t.equal(faultOf(result), undefined)
})

t.test('a closed loop keeps its window, and contents of any size arrive', async (t) => {
  const { rate: _, ...closed } = options
  for (const size of [0, 100, 200, 70_000]) {
    const result = await loadOn('none', { ...closed, window: 3, size, warmS: 0, runS: 0.1 })
    t.match(result, { sound: true, received_over_sent: 1 }, `${size} bytes`)
    t.ok(result.sent > 3)
  }
})

t.test('one lost message of one member is a failure', async (t) => {
  const result = await loadOn('drop')
  t.match(result, { sound: false, lost: 1, received: result.owed - 1 })
  t.ok(result.received_over_sent < 1)
  t.match(faultOf(result), /received \d+ of \d+ deliveries, 1 lost/)
})

t.test(
  'so are two in the wrong order, one that comes twice, one that comes back, a closed client',
  async (t) => {
    t.match(await loadOn('swap'), { sound: false, lost: 1, disordered: 1 })
    t.match(await loadOn('twice'), { sound: false, disordered: 1 })
    t.match(await loadOn('echo'), { sound: false, echoed: 1 })
    t.match(faultOf(await loadOn('close')), /1 clients closed/)
  },
)

t.test('slow readers are owed nothing', async (t) => {
  const result = await loadOn('none', { ...options, members: 10, slow: 0.2 })
  t.match(result, { sound: true, owed: result.sent * 8, slow_closed: 0 })
})

t.test('where everybody speaks, each has each message of the others once and in order', async (t) => {
  const { rate: _, ...closed } = { ...options, everybody: true, runS: 0.1 }
  for (const chosen of [
    { ...closed, window: 3 },
    { ...closed, rate: 500 },
  ]) {
    const result = await loadOn('none', chosen)
    t.match(result, { sound: true, clients: 5, received_over_sent: 1 })
    t.equal(result.received, result.sent * 4)
  }
  t.match(await loadOn('drop', { ...closed, rate: 500 }), { sound: false, lost: 1 })
  t.match(await loadOn('twice', { ...closed, rate: 500 }), { sound: false, disordered: 1 })
  t.match(await loadOn('echo', { ...closed, rate: 500 }), { sound: false, echoed: 1 })
})
