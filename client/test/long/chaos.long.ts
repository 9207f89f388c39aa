// The client under faults: what every application saw is held against what every publisher was told.
import t from 'tap'
import { chaosRun } from '../support/chaos-run.ts'

const { CHAOS_SEED, CHAOS_PUBLISHES = '100000' } = process.env
const seed = Number(CHAOS_SEED ?? Date.now() % 1_000_000)

t.test(`nothing is lost, and nothing comes twice (CHAOS_SEED=${seed})`, async (t) => {
  const { verdict, story } = await chaosRun(t, seed, Number(CHAOS_PUBLISHES))
  for (const [what, count] of Object.entries(verdict.counts)) t.comment(`${what}: ${count}`)
  if (verdict.faults.length > 0) t.comment(story.join('\n'))
  t.strictSame(verdict.faults.slice(0, 20), [], `${verdict.faults.length} faults`)
  t.ok(story.length > 5, `${story.length} faults were inflicted`)
})
