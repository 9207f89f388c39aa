// Writes docs/BENCHMARKS.md and its charts from a results file: `npm run bench:report -- [file]`.
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Bar, chart } from './chart.ts'
import { columnsOf, measureTitles } from './columns.ts'
import { caveats, method, opening } from './method.ts'
import { digits } from './numbers.ts'
import { figure, newestResults, type Results, readResults, spreadOf } from './results.ts'
import type { Scenario } from './scenarios.ts'
import { type PeerName, type TargetRow, targetRows, type Verdict, verdict } from './targets.ts'

export const PAGE = fileURLToPath(new URL('../docs/BENCHMARKS.md', import.meta.url))
export const CHARTS = fileURLToPath(new URL('../docs/benchmarks/', import.meta.url))

const table = (head: string[], rows: string[][]) =>
  [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n')

/** The whole page; `name` is the results file's. */
export function reportPage(results: Results, name: string): string {
  const sections = [opening, setting(results, name), targets(results), '## Scenarios\n']
  for (const scenario of results.scenarios) sections.push(scenarioSection(results, scenario))
  sections.push(method, settings(results), caveats)
  return sections.join('\n')
}

function setting(results: Results, name: string): string {
  const { machine, date, commit, rounds, isQuick, leftOut, scenarios } = results
  const lines = [
    `- results: \`bench/results/${name}\` of the repository, of ${date.slice(0, 10)}, commit \`${commit}\``,
    `- rounds: ${rounds}${isQuick ? '. **A quick run or a trial: few clients, short, a first look only**' : ''}`,
    `- machine: ${machine.cpu}, ${machine.cores} cores, ${machine.memoryGib} GiB, ${machine.kernel}`,
    `- load generator: ${machine.compiler}, \`-O2\``,
  ]
  if (machine.unpinned !== undefined)
    lines.push(`- **servers and generator shared their cores**: ${machine.unpinned}`)
  for (const { server, reason } of leftOut) lines.push(`- **left out**: ${server}, ${reason}`)
  const most = Math.max(...scenarios.map(({ load }) => load.members))
  if (machine.maxFiles < 10_000 + 512)
    lines.push(`- at most ${digits(most)} clients: \`ulimit -Hn\` is ${machine.maxFiles}`)
  return `${lines.join('\n')}\n`
}

function targets(results: Results): string {
  const peers: PeerName[] = ['gorilla', 'gorilla-frames', 'socket-io', 'bun', 'ws-loop']
  const rows = targetRows.map((row) => [row.title, ...peers.map((peer) => targetCell(results, row, peer))])
  return `## Against the targets

roomcast's figure divided by the peer's, in the same round: median (least–most), what it may be at most, and whether it
is.

${table(['', 'against gorilla', 'against gorilla, a frame a message', 'against Socket.IO', 'against Bun', 'against the ws loop'], rows)}
`
}

function targetCell(results: Results, row: TargetRow, peer: PeerName): string {
  const found: Verdict | undefined = verdict(results, row, peer)
  if (found === undefined) return '–'
  const { ratio, most, isMet } = found
  if (ratio === undefined) return `not measured, ≤ ${most}`
  const range = ratio.min === ratio.max ? '' : ` (${digits(ratio.min)}–${digits(ratio.max)})`
  return `**${digits(ratio.median)}**${range}, ≤ ${most}: ${isMet ? 'met' : '**not met**'}`
}

function scenarioSection(results: Results, scenario: Scenario): string {
  const columns = columnsOf(scenario)
  const rows = scenario.servers.map((server) => [
    results.servers[server]?.label ?? server,
    ...columns.map(({ cell }) => cell(results, scenario, server)),
  ])
  const { members, rooms, everybody } = scenario.load
  const clients = `${(members + (everybody ? 0 : rooms)).toLocaleString('en-US')} clients`
  return `### ${scenario.title}

${scenario.about} ${clients} in all.

${table(['server', ...columns.map(({ head }) => head)], rows)}

![${scenario.title}: ${measureTitles[scenario.measure]}](benchmarks/${scenario.name}.svg)
`
}

function settings(results: Results): string {
  const rows = Object.values(results.servers).map(({ label, version, settings }) => [
    label,
    version,
    settings,
  ])
  return `## Versions and settings

${table(['server', 'version', 'settings'], rows)}
`
}

/** File name → SVG, one a scenario. */
export function charts(results: Results): Record<string, string> {
  const drawn = results.scenarios.map((scenario) => {
    const bars = scenario.servers.flatMap((server): Bar[] => {
      const value = spreadOf(results, scenario.name, server, (result) => figure(result, scenario.measure))
      const label = results.servers[server]?.label ?? server
      return value === undefined ? [] : [{ label, value, isOurs: server.startsWith('roomcast') }]
    })
    return [`${scenario.name}.svg`, chart(scenario.title, measureTitles[scenario.measure], bars)]
  })
  return Object.fromEntries(drawn) as Record<string, string>
}

/** From the newest results unless a file is named. */
export function writeReport(path?: string): void {
  const found = path === undefined ? newestResults() : { name: basename(path), results: readResults(path) }
  if (found === undefined) throw new Error('no results yet: npm run bench')
  mkdirSync(CHARTS, { recursive: true })
  for (const old of readdirSync(CHARTS)) rmSync(join(CHARTS, old))
  for (const [name, svg] of Object.entries(charts(found.results))) writeFileSync(join(CHARTS, name), svg)
  writeFileSync(PAGE, reportPage(found.results, found.name))
  console.log(`docs/BENCHMARKS.md is of bench/results/${found.name}`)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeReport(process.argv[2])
