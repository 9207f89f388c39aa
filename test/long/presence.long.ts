// Presence over outages of Redis that last longer than a node is waited for.
import t from 'tap'
import { outlives } from '../support/presence-members.ts'

for (const how of ['freeze', 'kill'] as const)
  t.test(`${how} of Redis for 15 s: nobody flaps, and all is put right`, (t) => outlives(t, how, 15_000))
