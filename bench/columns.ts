// What each scenario's table shows.
import type { LoadResult } from './load.ts'
import { medianOf, withSpread } from './numbers.ts'
import { type Results, runsOf, type Spread, spread, spreadOf } from './results.ts'
import type { Measure, Scenario } from './scenarios.ts'
import type { ServerName } from './servers.ts'

export interface Column {
  head: string
  cell(results: Results, scenario: Scenario, server: ServerName): string
}

type Pick = (result: LoadResult) => number | undefined

function column(head: string, pick: Pick, write: (value: Spread | undefined) => string = medianOf): Column {
  return { head, cell: (results, { name }, server) => write(spreadOf(results, name, server, pick)) }
}

const cpuPerDelivery = column('CPU µs a delivery', (run) => run.cpu_us_per_delivery, withSpread)
const deliveries = column('deliveries/s', (run) => run.deliveries_per_s)
const p50 = column('p50 ms', (run) => run.latency?.p50_ms)
const p99 = column('p99 ms', (run) => run.latency?.p99_ms, withSpread)
const p999 = column('p99.9 ms', (run) => run.latency?.p999_ms)
const most = column('max ms', (run) => run.latency?.max_ms)
const cores = column('server cores', (run) => run.server_cores)
const generator = column('generator cores', (run) => run.generator_cores)
const crossP99 = column('p99 ms across nodes', (run) => run.cross_latency?.p99_ms, withSpread)
const cpuPerConnect = column('CPU µs a connect', (run) => run.cpu_us_per_connect, withSpread)
const cpuPerVisit = column('CPU µs a visit', (run) => run.cpu_us_per_visit, withSpread)
const connects = column('connects/s', (run) => run.connects_per_s, withSpread)
const memory = column('KiB a client', (run) => run.rss_kib_per_client, withSpread)
const growth = column('memory grew by, MiB', (run) => run.rss_peak_mib - run.rss_joined_mib, withSpread)
const peak = column('memory at most, MiB', (run) => run.rss_peak_mib, withSpread)
const slowClosed = column('slow readers cut', (run) => run.slow_closed)
const redisCpu: Column = {
  head: 'Redis: CPU µs a delivery',
  cell: (results, { name }, server) =>
    medianOf(spread(runsOf(results, name, server).flatMap(({ helperCpuUs }) => helperCpuUs?.redis ?? []))),
}

export function columnsOf({ name, load, measure }: Scenario): Column[] {
  if (measure === 'cpuPerVisit') return [cpuPerVisit, cpuPerConnect, connects, memory]
  if (load.runS === 0) return name === 'idle' ? [memory, cpuPerConnect] : [connects, cpuPerConnect]
  if (name.startsWith('two-nodes'))
    return [deliveries, cpuPerDelivery, redisCpu, p99, crossP99, cores, generator]
  if (load.everybody) return [deliveries, cpuPerDelivery, peak, p50, p99, p999, most, cores, generator]
  if (name.startsWith('slow')) return [p50, p99, p999, most, growth, slowClosed, cpuPerDelivery]
  return [deliveries, cpuPerDelivery, p50, p99, p999, most, cores, generator]
}

/** What a chart's bars mean. */
export const measureTitles: Record<Measure, string> = {
  cpuPerDelivery: 'server CPU, µs a delivery (lower is better)',
  p99: 'p99 latency, ms (lower is better)',
  crossP99: 'p99 latency, ms; across nodes where there are two (lower is better)',
  peak: 'server memory at most, MiB (lower is better)',
  memory: 'server memory a client, KiB (lower is better)',
  cpuPerConnect: 'server CPU, µs a connect (lower is better)',
  cpuPerVisit: 'server CPU, µs a client that comes and goes (lower is better)',
  connects: 'connects a second (higher is better)',
}
