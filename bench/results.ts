// The results file: what was run on what, and each run's raw figures.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { LoadResult } from './load.ts'
import type { Machine } from './machine.ts'
import type { LeftOut } from './prepare.ts'
import type { Measure, Scenario } from './scenarios.ts'
import type { ServerName } from './servers.ts'

export const RESULTS = new URL('results/', import.meta.url).pathname
/** Begins the names of what only concerns this machine: quick and partial runs. The report does not take them. */
export const LOCAL = 'local-'

export interface Run {
  scenario: string
  server: ServerName
  /** From 1; the servers take turns within a round. */
  round: number
  /** Absent when there is none: `failure` then says why. */
  result?: LoadResult
  failure?: string
  /** Microseconds of CPU a delivery of what ran beside the servers, warm-up included. */
  helperCpuUs?: Record<string, number>
}

export interface Results {
  date: string
  commit: string
  isQuick: boolean
  rounds: number
  machine: Machine
  leftOut: LeftOut[]
  servers: Partial<Record<ServerName, { label: string; version: string; settings: string }>>
  scenarios: Scenario[]
  runs: Run[]
}

export interface Spread {
  median: number
  min: number
  max: number
}

export function spread(values: number[]): Spread | undefined {
  if (values.length === 0) return undefined
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length / 2
  const [low, high] = [sorted[Math.ceil(middle) - 1] as number, sorted[Math.floor(middle)] as number]
  return { median: (low + high) / 2, min: sorted[0] as number, max: sorted.at(-1) as number }
}

const figures: Record<Measure, (result: LoadResult) => number | undefined> = {
  cpuPerDelivery: (result) => result.cpu_us_per_delivery,
  p99: (result) => result.latency?.p99_ms,
  crossP99: (result) => (result.cross_latency ?? result.latency)?.p99_ms,
  peak: (result) => result.rss_peak_mib,
  memory: (result) => result.rss_kib_per_client,
  cpuPerConnect: (result) => result.cpu_us_per_connect,
  cpuPerVisit: (result) => result.cpu_us_per_visit,
  connects: (result) => result.connects_per_s,
}

export function figure(result: LoadResult, measure: Measure): number | undefined {
  return figures[measure](result)
}

/** The sound runs of a server in a scenario, in the order of the rounds. */
export function runsOf(
  { runs }: Results,
  scenario: string,
  server: ServerName,
): (Run & { result: LoadResult })[] {
  return runs.filter(
    (run): run is Run & { result: LoadResult } =>
      run.scenario === scenario &&
      run.server === server &&
      run.failure === undefined &&
      run.result !== undefined,
  )
}

/** A figure over the rounds. */
export function spreadOf(
  results: Results,
  scenario: string,
  server: ServerName,
  pick: (result: LoadResult) => number | undefined,
): Spread | undefined {
  return spread(runsOf(results, scenario, server).flatMap(({ result }) => pick(result) ?? []))
}

/** What is wrong with a finished run; undefined when each message arrived once, in order, and nobody was closed. */
export function faultOf(result: LoadResult): string | undefined {
  if (result.sound) return undefined
  const faults = [
    result.received !== result.owed && `received ${result.received} of ${result.owed} deliveries`,
    result.lost > 0 && `${result.lost} lost`,
    result.disordered > 0 && `${result.disordered} out of order or twice`,
    result.echoed > 0 && `${result.echoed} came back to their sender`,
    result.foreign > 0 && `${result.foreign} that nobody had sent`,
    result.closed > 0 && `${result.closed} clients closed`,
  ]
  return faults.filter((fault) => fault !== false).join(', ')
}

/** One line for each run that failed. */
export function failures({ runs }: Results): string[] {
  return runs
    .filter(({ failure }) => failure !== undefined)
    .map(({ server, scenario, round, failure }) => `${server} in ${scenario}, round ${round}: ${failure}`)
}

export function saveResults(name: string, results: Results): string {
  mkdirSync(RESULTS, { recursive: true })
  const path = join(RESULTS, `${name}.json`)
  // A run a line: hundreds of them stay readable, and small.
  const { runs, ...head } = results
  const lines = runs.map((run) => JSON.stringify(run)).join(',\n')
  const text = JSON.stringify(head, null, 1).replace(/\n\}$/, `,\n "runs": [\n${lines}\n]\n}\n`)
  writeFileSync(path, text)
  return path
}

export function readResults(path: string): Results {
  return JSON.parse(readFileSync(path, 'utf8')) as Results
}

/** The newest by the date inside, of those without a failure; undefined when there is none. */
export function newestResults(folder = RESULTS): { name: string; results: Results } | undefined {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.json') && !name.startsWith(LOCAL))
    .map((name) => ({ name, results: readResults(join(folder, name)) }))
    .filter(({ results }) => failures(results).length === 0)
    .sort((a, b) => a.results.date.localeCompare(b.results.date))
    .at(-1)
}
