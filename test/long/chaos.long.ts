// Nodes, Redis and clients under faults, and everything that every client got checked against docs/PROTOCOL.md.
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { modes } from '../support/chaos/arena.ts'
import { check } from '../support/chaos/checker.ts'
import { planText } from '../support/chaos/plan.ts'
import { at, linesWith, type Recording } from '../support/chaos/recording.ts'
import { chaosRun, type Run } from '../support/chaos/run.ts'
import type { Verdict } from '../support/chaos/verdict.ts'

const { CHAOS_SEED, CHAOS_MODE, CHAOS_SECONDS = '45' } = process.env
/** Of so many violations the lines are shown. */
const SHOWN = 10
const LINES = 40

const seed = Number(CHAOS_SEED ?? Date.now() % 1_000_000)

for (const mode of modes.filter((mode) => CHAOS_MODE === undefined || mode === CHAOS_MODE)) {
  t.test(`${mode} under faults keeps the protocol (CHAOS_MODE=${mode} CHAOS_SEED=${seed})`, async (t) => {
    const run = await chaosRun(mode, seed, Number(CHAOS_SECONDS))
    const verdict = check(run.recording)
    for (const [what, count] of verdict.counts) t.comment(`${what}: ${count}`)
    if (verdict.violations.length > 0) explain(t, run, verdict)
    t.strictSame(
      verdict.violations.map(({ kind }) => kind),
      [],
      'nothing in the recording is against the protocol',
    )
    t.strictSame(run.complaints, [], 'no node complains')
  })
}

/** The plan, the faults, the violations with what was on the wire, and where the whole recording is. */
function explain(t: Test, { recording, plan }: Run, { violations }: Verdict): void {
  const file = join(mkdtempSync(join(tmpdir(), 'roomcast-chaos-')), 'recording.json')
  writeFileSync(file, JSON.stringify(recording))
  t.comment(`seed ${recording.seed}, mode ${recording.mode}; all of it is in ${file}`)
  t.comment(`plan:\n${planText(plan)}`)
  t.comment(`faults:\n${faultsText(recording)}`)
  for (const { kind, text, mid } of violations.slice(0, SHOWN)) {
    t.comment(`${kind}: ${text}`)
    if (mid === undefined) continue
    const lines = linesWith(recording, `"m":"${mid}"`)
    t.comment(lines.slice(0, LINES).join('\n'))
  }
}

function faultsText({ faults }: Recording): string {
  return faults
    .map(({ kind, detail, startMs, endMs }) => `${at(startMs)} to ${at(endMs)} ${kind} ${detail}`)
    .join('\n')
}
