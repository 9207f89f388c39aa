// `npm run bench`: measures roomcast against its peers. `--help` lists the options.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { unpinned } from './launch.ts'
import { buildLoad, runLoad } from './load.ts'
import { commit, describeMachine } from './machine.ts'
import { asked, HELP, type Plan, plan } from './plan.ts'
import { type LeftOut, prepare } from './prepare.ts'
import { writeReport } from './report.ts'
import { failures, faultOf, LOCAL, type Results, type Run, saveResults } from './results.ts'
import type { Scenario } from './scenarios.ts'
import { type Running, type ServerName, serverNames, servers } from './servers.ts'
import { summary } from './summary.ts'
import { writeTokens } from './tokens.ts'

interface Tools {
  program: string
  tokensFile: string
}

/** Seconds of CPU that a process has used. */
function cpuS(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) / 100
}

function sumCpuS(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + cpuS(pid), 0)
}

/** Above the default lingerMs of a rule. */
const LEAVE_MS = 8000

/** A fresh server each time: no run inherits another one's heap. */
async function runOnce(tools: Tools, scenario: Scenario, name: ServerName, round: number): Promise<Run> {
  const run: Run = { scenario: scenario.name, server: name, round }
  let running: Running | undefined
  try {
    running = await servers[name].start()
    const { ports, pids, helpers } = running
    const target = { ports, pids, tokensFile: tools.tokensFile }
    const before = sumCpuS(pids)
    run.result = await runLoad(tools.program, servers[name].speech, scenario.load, target)
    if (scenario.measure === 'cpuPerVisit') {
      // The generator has gone, and all its clients with it; users are waited for a while.
      await new Promise((resolve) => setTimeout(resolve, LEAVE_MS))
      run.result.cpu_us_per_visit = ((sumCpuS(pids) - before) * 1e6) / run.result.clients
    }
    const { received } = run.result
    const used = Object.entries(helpers).map(([helper, pid]) => [helper, (cpuS(pid) * 1e6) / received])
    if (used.length > 0) run.helperCpuUs = Object.fromEntries(used)
    const fault = faultOf(run.result)
    if (fault !== undefined) run.failure = fault
  } catch (error) {
    run.failure = (error as Error).message
  } finally {
    await running?.stop()
  }
  return run
}

/** The servers take turns, and each round begins with another one, so that no one always has the warmer machine. */
async function runAll(tools: Tools, { rounds, scenarios }: Plan): Promise<Run[]> {
  const runs: Run[] = []
  for (let round = 1; round <= rounds; round++) {
    for (const scenario of scenarios) {
      const first = (round - 1) % Math.max(1, scenario.servers.length)
      for (const name of [...scenario.servers.slice(first), ...scenario.servers.slice(0, first)]) {
        const run = await runOnce(tools, scenario, name, round)
        console.log(summary.line(run, scenario, rounds))
        runs.push(run)
      }
    }
  }
  return runs
}

function collect(runs: Run[], { rounds, scenarios }: Plan, leftOut: LeftOut[]): Results {
  const taking = serverNames.filter((name) => scenarios.some((scenario) => scenario.servers.includes(name)))
  const described = taking.map((name) => {
    const { label, settings, version } = servers[name]
    return [name, { label, version: version(), settings }] as const
  })
  return {
    date: new Date().toISOString(),
    commit: commit(),
    isQuick: asked.quick || asked.members !== undefined || asked.seconds !== undefined,
    rounds,
    machine: describeMachine(),
    leftOut,
    servers: Object.fromEntries(described),
    scenarios,
    runs,
  }
}

/** Resolves to the exit code. */
async function main(): Promise<number> {
  if (asked.help) {
    console.log(HELP)
    return 0
  }
  const folder = mkdtempSync(join(tmpdir(), 'roomcast-bench-'))
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
  const tools = { program: buildLoad(folder), tokensFile: join(folder, 'tokens') }
  const leftOut = prepare()
  for (const { server, reason } of leftOut) console.log(`Left out: ${server}, ${reason}`)
  if (unpinned !== undefined) console.log(`Servers and generator share their cores: ${unpinned}`)
  const planned = plan(leftOut)
  writeTokens(tools.tokensFile, Math.max(...planned.scenarios.map(({ load }) => load.members + load.rooms)))

  const results = collect(await runAll(tools, planned), planned, leftOut)
  const stamp = results.date.slice(0, 19).replaceAll(':', '')
  const path = saveResults(asked.name ?? `${planned.isPartial ? LOCAL : ''}${stamp}`, results)
  console.log(`\n${summary.table(results)}\nRaw results: ${path}`)
  return conclude(results, !planned.isPartial || asked.name !== undefined)
}

/** A run with a fault is kept as a file and never becomes the documents' figures. */
function conclude(results: Results, isReported: boolean): number {
  const failed = failures(results)
  for (const failure of failed) console.error(`FAILED: ${failure}`)
  if (failed.length > 0) return 1
  if (isReported) writeReport()
  return 0
}

try {
  process.exitCode = await main()
} catch (error) {
  console.error((error as Error).message)
  process.exitCode = 1
}
