import { type Check, Failure, type Section, Skip } from './check.ts'
import type { Report, Result } from './report.ts'
import { sections } from './sections/index.ts'
import { Target, type TargetOptions } from './target.ts'
import { Visit } from './visit.ts'

export interface ConformanceOptions extends TargetOptions {
  /** Names of the sections to check; none for all. */
  sections: string[]
  /** How many checks are under way at a time. */
  parallel: number
}

/** What `sections` may name, in the order of the report. */
export const sectionNames = sections.map(({ name }) => name)

/** Checks a server from outside. Never rejects for what the server does. */
export async function runConformance(options: ConformanceOptions): Promise<Report> {
  const begun = performance.now()
  const target = new Target(options)
  const chosen = sections.filter(
    ({ name }) => options.sections.length === 0 || options.sections.includes(name),
  )
  const jobs = chosen.flatMap((section) => section.checks.map((check) => ({ section, check })))
  const results: Result[] = []
  const entries = jobs.entries()
  // All take from the same list.
  const work = async () => {
    for (const [at, { section, check }] of entries) results[at] = await runOne(target, section, check)
  }
  await Promise.all(Array.from({ length: options.parallel }, work))
  const count = (outcome: Result['outcome']) => results.filter((one) => one.outcome === outcome).length
  return {
    url: options.url.href,
    passed: count('passed'),
    failed: count('failed'),
    skipped: count('skipped'),
    ms: Math.round(performance.now() - begun),
    results,
  }
}

async function runOne(target: Target, { name: section }: Section, { name, run }: Check): Promise<Result> {
  const begun = performance.now()
  const visit = new Visit(target)
  const end = (outcome: Result['outcome'], reason?: string): Result => {
    const ms = Math.round(performance.now() - begun)
    return { section, name, outcome, ...(reason !== undefined && { reason }), ms }
  }
  try {
    await run(visit)
    return end('passed')
  } catch (error) {
    if (error instanceof Skip) return end('skipped', error.message)
    if (error instanceof Failure) return end('failed', error.message)
    return end('failed', error instanceof Error ? `${error.name}: ${error.message}` : String(error))
  } finally {
    visit.end()
  }
}
