// What the terminal shows.
import { medianOf, withSpread } from './numbers.ts'
import { figure, type Results, type Run, spreadOf } from './results.ts'
import type { Measure, Scenario } from './scenarios.ts'
import { type PeerName, targetRows, verdict } from './targets.ts'

const units: Record<Measure, string> = {
  cpuPerDelivery: 'µs CPU a delivery',
  p99: 'ms p99',
  crossP99: 'ms p99 across',
  peak: 'MiB at most',
  memory: 'KiB a client',
  cpuPerConnect: 'µs CPU a connect',
  cpuPerVisit: 'µs CPU a visit',
  connects: 'connects/s',
}

function line({ server, round, result, failure }: Run, scenario: Scenario, rounds: number): string {
  const value = result && figure(result, scenario.measure)
  const what =
    failure === undefined ? `${value?.toFixed(3)} ${units[scenario.measure]}` : `FAILED: ${failure}`
  return `${scenario.name.padEnd(16)} ${server.padEnd(11)} ${round}/${rounds}  ${what}`
}

function table(results: Results): string {
  const rows = results.scenarios.flatMap(({ name, measure, servers }) =>
    servers.map((server) => {
      const value = withSpread(spreadOf(results, name, server, (result) => figure(result, measure)))
      return `${name.padEnd(16)} ${server.padEnd(11)} ${value.padEnd(28)} ${units[measure]}`
    }),
  )
  const targets = targetRows.flatMap((row) =>
    Object.keys(row.most).flatMap((peer) => {
      const found = verdict(results, row, peer as PeerName)
      if (found?.ratio === undefined) return []
      const outcome = found.isMet ? 'met' : 'NOT MET'
      return `${row.title}, against ${peer}: ${medianOf(found.ratio)} (at most ${found.most}): ${outcome}`
    }),
  )
  return [...rows, '', ...targets].join('\n')
}

export const summary = { line, table }
