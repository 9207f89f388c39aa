// docs/BENCHMARKS.md says what the results file says, and what is missing or failed is told.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { digits, withSpread } from '../../bench/numbers.ts'
import { CHARTS, charts, PAGE, reportPage } from '../../bench/report.ts'
import { failures, newestResults, type Results, readResults, spread } from '../../bench/results.ts'
import { scenarios } from '../../bench/scenarios.ts'
import { targetRows, verdict } from '../../bench/targets.ts'

const fixture = readResults('test/bench/fixture-results.json')
const changed = (change: (results: Results) => void): Results => {
  const copy = structuredClone(fixture)
  change(copy)
  return copy
}
const row = (scenario: string) =>
  targetRows.find((target) => target.scenario === scenario) as (typeof targetRows)[0]

t.test('docs/BENCHMARKS.md and its charts are fresh (npm run bench:report)', async (t) => {
  const newest = newestResults()
  if (newest === undefined) return t.fail('bench/results has a results file')
  t.equal(readFileSync(PAGE, 'utf8'), reportPage(newest.results, newest.name))
  const expected = charts(newest.results)
  t.strictSame(new Set(readdirSync(CHARTS)), new Set(Object.keys(expected)))
  for (const [name, svg] of Object.entries(expected))
    t.equal(readFileSync(join(CHARTS, name), 'utf8'), svg, name)
})

t.test('the page has the medians and the spread of the rounds', async (t) => {
  const page = reportPage(fixture, 'fixture.json')
  t.match(page, '| roomcast | 2,000,000 | 0.400 (0.300–0.500) |')
  t.match(page, '| Bun | 2,000,000 | 0.500 (0.500–0.600) |')
  t.match(page, 'bench/results/fixture.json')
  t.match(page, 'AMD EPYC, 2 cores')
  t.match(page, '**left out**: gorilla, needs Go')
  t.match(
    page,
    '![500 members, window 64: server CPU, µs a delivery (lower is better)](benchmarks/fan-out-64.svg)',
  )
})

t.test('a chart has a bar for each server that was measured', async (t) => {
  const { 'fan-out-64.svg': svg = '' } = charts(fixture)
  t.match(svg, /^<svg [^>]*viewBox/)
  t.equal(svg.match(/<line /g)?.length, 2)
  t.match(svg, '>roomcast</text>')
})

t.test('a target is met or not by the median of the ratios of each round', async (t) => {
  const found = verdict(fixture, row('fan-out-64'), 'bun')
  t.match(found, { most: 1, isMet: true })
  // Rounds: 0.3 / 0.5, 0.4 / 0.5, 0.5 / 0.6.
  t.equal(found?.ratio?.median.toFixed(3), '0.800')
  t.match(reportPage(fixture, 'f.json'), '**0.800** (0.600–0.833), ≤ 1: met')

  const slower = changed(({ runs }) => {
    for (const { server, result } of runs)
      if (server === 'roomcast' && result) result.cpu_us_per_delivery = 0.7
  })
  t.match(verdict(slower, row('fan-out-64'), 'bun'), { isMet: false })
  t.match(reportPage(slower, 'f.json'), '≤ 1: **not met**')
})

t.test('what was not measured is neither met nor not met', async (t) => {
  t.match(verdict(fixture, row('fan-out-64'), 'gorilla'), { most: 0.06, ratio: undefined, isMet: undefined })
  t.match(reportPage(fixture, 'f.json'), 'not measured, ≤ 0.06')
})

t.test('every target is of a scenario, and every pair has its bound', async (t) => {
  const known = scenarios({ quick: false, maxFiles: 20_000 }).map(({ name }) => name)
  for (const { scenario } of targetRows) t.ok(known.includes(scenario), scenario)
  t.equal(targetRows.flatMap(({ most }) => Object.values(most)).length, 6 * 4 - 1 + 2 * (1 + 5))
})

t.test('a run with a fault is named, and its figures count nowhere', async (t) => {
  const faulty = changed(({ runs }) => {
    const run = runs.find(({ server, round }) => server === 'bun' && round === 2)
    if (run) run.failure = 'received 9 of 10 deliveries, 1 lost'
  })
  t.strictSame(failures(faulty), ['bun in fan-out-64, round 2: received 9 of 10 deliveries, 1 lost'])
  t.match(reportPage(faulty, 'f.json'), '| Bun | 2,000,000 | 0.550 (0.500–0.600) |')

  const folder = mkdtempSync(join(tmpdir(), 'roomcast-results-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const write = (name: string, results: Results) => writeFileSync(join(folder, name), JSON.stringify(results))
  write('good.json', fixture)
  write('faulty.json', { ...faulty, date: '2999-01-01T00:00:00.000Z' })
  write('local-quick.json', { ...fixture, date: '2999-01-01T00:00:00.000Z' })
  t.equal(newestResults(folder)?.name, 'good.json')
})

t.test('scenarios shrink to the files that may be open, and to a trial', async (t) => {
  const members = (bounds: Parameters<typeof scenarios>[0]) =>
    Math.max(...scenarios(bounds).map(({ load }) => load.members))
  t.equal(members({ quick: false, maxFiles: 20_000 }), 10_000)
  t.equal(members({ quick: false, maxFiles: 1024 }), 1024 - 256 - 1)
  t.equal(members({ quick: true, maxFiles: 20_000, maxMembers: 50 }), 50)
  t.match(
    reportPage(
      changed(({ machine }) => {
        machine.maxFiles = 1024
      }),
      'f.json',
    ),
    '`ulimit -Hn` is 1024',
  )
})

t.test('figures have three digits that count', async (t) => {
  t.strictSame([0.0345, 0.3456, 3.456, 34.56, 345.6, 34_567].map(digits), [
    '0.035',
    '0.346',
    '3.46',
    '34.6',
    '346',
    '34,567',
  ])
  t.equal(withSpread(spread([3, 1, 2, 4])), '2.50 (1.00–4.00)')
  t.equal(withSpread(spread([])), '–')
})
