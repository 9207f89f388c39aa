// How tests run the suite: against roomcast with everything on that it can see.
import type { Test } from 'tap'
import type { Report } from '../../conformance/report.ts'
import { type ConformanceOptions, runConformance } from '../../conformance/run.ts'
import { API_SECRET } from '../support/api.ts'
import { type Env, type Server, startServer } from '../support/server.ts'
import { SECRET } from '../support/token.ts'

/** Rooms whose names begin so have presence. */
export const PRESENT = 'present.'

/** A server's settings with which few checks are skipped. */
export const everything: Env = {
  API_KEYS: `shop:${API_SECRET}`,
  PING_INTERVAL_MS: '1000',
  ROOM_RULES: JSON.stringify([{ match: `${PRESENT}*`, presence: { lingerMs: 200, intervalMs: 20 } }]),
}

export async function startWithEverything(t: Test, env: Env = {}): Promise<Server> {
  const server = await startServer({ ...everything, ...env })
  t.teardown(() => server.stop())
  return server
}

export function runAgainst(url: string, more: Partial<ConformanceOptions> = {}): Promise<Report> {
  return runConformance({
    url: new URL(url),
    secret: SECRET,
    apiKey: API_SECRET,
    claims: {},
    rooms: PRESENT,
    broadcast: true,
    sections: [],
    timeoutMs: 10_000,
    parallel: 6,
    ...more,
  })
}

/** The checks of that outcome, with why. */
export function those({ results }: Report, wanted: 'failed' | 'skipped'): string[] {
  return results
    .filter(({ outcome }) => outcome === wanted)
    .map(({ section, name, reason }) => `${section}: ${name}: ${reason}`)
}

/** All passed but one, which rooms without presence have for themselves. */
export function isWhole(t: Test, report: Report): void {
  t.strictSame(those(report, 'failed'), [])
  t.match(those(report, 'skipped'), [/^Presence: without a rule/])
  t.ok(report.passed >= 60, `${report.passed} passed in ${report.ms} ms`)
}
