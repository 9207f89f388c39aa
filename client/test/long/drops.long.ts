// The published drop test: 10,000 clients in one room in which 10 messages a second are said, each cut off for 2 s every
// 15 s or so. What is measured where:
// - DROP_PROBES of them are the real client, in a process of its own with the writer. The claim is about their times, from
//   a socket's opening to having all that was said until then. They are few, so it is the server's queue and not theirs.
// - The others follow the same rules on bare sockets, in DROP_PROCESSES processes. They are the load; their times are
//   printed beside, from opening to having all that was said until the join.
// - Every client, of either kind, checks that it gets each number once and in order.
// One node: on two cores a second one and its Redis would take the CPU that the clients need.
import t, { type Test } from 'tap'
import { cpuWait } from '../../../test/support/cpu-wait.ts'
import { quantile } from '../../../test/support/crowd.ts'
import { Inspector, inspected } from '../../../test/support/inspector.ts'
import { type Server, startServer } from '../../../test/support/server.ts'
import { tokenFor } from '../../../test/support/token.ts'
import { CrowdProcess } from '../support/drops/crowd-process.ts'
import { AWAY_MS, type Crowd, type Report } from '../support/drops/place.ts'

const {
  DROP_CLIENTS = '10000',
  DROP_SECONDS = '60',
  DROP_PROBES = '200',
  DROP_PROCESSES = '2',
  DROP_BYTES = '64',
} = process.env
const CLIENTS = Number(DROP_CLIENTS)
const PROBES = Math.min(CLIENTS, Number(DROP_PROBES))
/** The claim. */
const CAUGHT_UP_P99_MS = 100
/** It is for a machine that has the CPU for it: the probe's loop is late by less, and the server waits for a core for less of its time. */
const FIT_LOOP_P99_MS = 10
const FIT_WAITED_PART = 0.15
const RESOLUTION_MS = 2

const settings = {
  ...{ CONNECT_RATE_MAX: '0', MAX_CLIENTS: '20000', USER_RATE_FACTOR: '0', HISTORY_SIZE: '1000' },
  ...inspected,
}

/** All are in the room. The probe is the first. */
async function crowdsFor(t: Test, { host, port }: Server): Promise<CrowdProcess[]> {
  const common = { address: { host, port }, token: tokenFor('crowd') }
  const each = Math.ceil((CLIENTS - PROBES) / Number(DROP_PROCESSES))
  const crowds: Crowd[] = [{ ...common, kind: 'hub', count: PROBES }]
  for (let left = CLIENTS - PROBES; left > 0; left -= each)
    crowds.push({ ...common, kind: 'light', count: Math.min(left, each) })
  const processes = crowds.map((crowd) => new CrowdProcess(crowd))
  t.teardown(() => {
    for (const one of processes) one.stop()
  })
  for (const one of processes) await one.join()
  return processes
}

interface ServerFigures {
  /** Of one core: used, and waited for. */
  cpuPart: number
  waitedPart: number
  loopP99Ms: number
  loopMaxMs: number
}

/** Watches the server until the result is called. */
async function watch(server: Server): Promise<() => Promise<ServerFigures>> {
  const inspector = await Inspector.open(server)
  await inspector.evaluate(
    `void (globalThis.delay = require('node:perf_hooks').monitorEventLoopDelay({ resolution: ${RESOLUTION_MS} })).enable()`,
  )
  const [startMs, startS, waitedMs] = [performance.now(), server.cpuS(), cpuWait(server)]
  return async () => {
    const ms = performance.now() - startMs
    const [cpuPart, waitedPart] = [((server.cpuS() - startS) * 1000) / ms, waitedMs() / ms]
    const late = (ns: number) => Math.max(0, ns / 1e6 - RESOLUTION_MS)
    const [p99, max] = await inspector.evaluate<[number, number]>('[delay.percentile(99), delay.max]')
    inspector.close()
    return { cpuPart, waitedPart, loopP99Ms: late(p99), loopMaxMs: late(max) }
  }
}

const percent = (part: number) => `${Math.round(part * 100)} %`

function tellCrowd(t: Test, name: string, report: Report): void {
  const { clients, caughtUpMs, loopP99Ms, loopMaxMs, cpuPart, ends } = report
  const times = [0.5, 0.9, 0.99, 1].map((part) => Math.round(quantile(caughtUpMs, part))).join(', ')
  t.comment(
    `${name}, ${clients} clients: ${caughtUpMs.length} times caught up, p50, p90, p99, max: ${times} ms`,
  )
  t.comment(
    `  its loop late by p99 ${loopP99Ms.toFixed(1)} ms, max ${loopMaxMs.toFixed(1)} ms; CPU ${percent(cpuPart)}; ` +
      `ends that were no cuts: ${JSON.stringify(ends)}`,
  )
}

t.test(`${CLIENTS} clients that drop for ${AWAY_MS} ms: 100.00 % of what is said, each once`, async (t) => {
  const server = await startServer(settings)
  t.teardown(() => server.stop())
  const crowds = await crowdsFor(t, server)
  const [probe] = crowds as [CrowdProcess]
  const watched = await watch(server)
  for (const crowd of crowds) await crowd.cut()
  const last = await probe.talk(Number(DROP_SECONDS), Number(DROP_BYTES))
  const figures = await watched()
  const reports = await Promise.all(crowds.map((crowd) => crowd.finish(last)))

  for (const [index, report] of reports.entries()) tellCrowd(t, index === 0 ? 'probe' : 'light', report)
  t.comment(
    `server: CPU ${percent(figures.cpuPart)}, waited for a core ${percent(figures.waitedPart)}; ` +
      `its loop late by p99 ${figures.loopP99Ms.toFixed(1)} ms, max ${figures.loopMaxMs.toFixed(1)} ms`,
  )
  const sum = (of: (report: Report) => number) => reports.reduce((total, report) => total + of(report), 0)
  const due = CLIENTS * (last + 1)
  const missing = sum((report) => report.missing)
  const delivered = ((100 * (due - missing)) / due).toFixed(4)
  const returns = sum((report) => report.returns)
  t.comment(`${last + 1} messages, ${returns} returns; ${delivered} % of ${due} deliveries`)
  const away = sum((report) => report.away)
  t.equal(missing, 0, `${missing} of ${due} deliveries are missing, ${away} clients are not back`)
  const faults = sum((report) => report.faults)
  t.equal(faults, 0, 'each once, in their order')
  t.ok(returns > 0, `${returns} returns`)

  const [{ caughtUpMs, loopP99Ms }] = reports as [Report]
  const isFit = loopP99Ms <= FIT_LOOP_P99_MS && figures.waitedPart <= FIT_WAITED_PART
  const p99 = Math.round(quantile(caughtUpMs, 0.99))
  const claim = `p99 of catching up is ${p99} ms, at most ${CAUGHT_UP_P99_MS}`
  if (isFit) t.ok(p99 <= CAUGHT_UP_P99_MS, claim)
  else t.pass(claim, { skip: 'the machine had no CPU for it' })
})
