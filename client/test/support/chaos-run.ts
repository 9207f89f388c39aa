import type { Test } from 'tap'
import { Dice } from '../../../test/support/chaos/dice.ts'
import { pace, pollUntil } from '../../../test/support/until.ts'
import { inflictFaults, type Stage } from './chaos-faults.ts'
import { startPlace } from './chaos-place.ts'
import { Tab } from './chaos-tab.ts'
import { judge, type Verdict } from './chaos-verdict.ts'

const ROOMS = ['r0', 'r1', 'r2', 'r3']
const TABS = 20
/** Messages a second of all tabs together. */
const RATE = 500
const TICK_MS = 10

export interface Run {
  verdict: Verdict
  /** What was done, and when, in seconds. */
  story: string[]
}

/** Tabs that talk to each other through nginx and three nodes with one Redis, all of which come and go. */
export async function chaosRun(t: Test, seed: number, publishes: number): Promise<Run> {
  const dice = new Dice(seed)
  // Of its own: how long a fault takes must not change what is done.
  const talk = new Dice(seed + 1)
  const place = await startPlace(t)
  const all: Tab[] = []
  const open = (n: number) => {
    const rooms = ROOMS.filter((_, at) => at === n % ROOMS.length || talk.chance(0.4))
    const tab = new Tab(`u${n}`, place.url, rooms, new Dice(talk.int(0, 2 ** 31)))
    all.push(tab)
    return tab
  }
  const tabs = Array.from({ length: TABS }, (_, n) => open(n))
  t.teardown(() => {
    for (const tab of all) tab.dispose()
  })
  const stage: Stage = { dice, place, tabs, open, isOver: false }
  const areThere = () => tabs.every(({ isThere }) => isThere)
  await pollUntil('all are there', areThere, 30_000)

  const story: string[] = []
  const startMs = performance.now()
  const tell = (text: string) => story.push(`${((performance.now() - startMs) / 1000).toFixed(1)} s ${text}`)
  const faults = inflictFaults(stage, tell)
  await talkAll(tabs, talk, publishes)
  stage.isOver = true
  await faults
  await pollUntil('all promises have settled', () => all.every(({ isBusy }) => !isBusy), 90_000)
  await pollUntil('all are back', areThere, 60_000)
  // What is missing then, the verdict says.
  await pollUntil('all have all', () => judge(all).faults.length === 0, 20_000).catch(() => {})
  return { verdict: judge(all), story }
}

async function talkAll(tabs: readonly Tab[], dice: Dice, publishes: number): Promise<void> {
  const beganMs = performance.now()
  for (let sent = 0; sent < publishes; await pace(TICK_MS)) {
    const due = Math.min(publishes, Math.floor(((performance.now() - beganMs) * RATE) / 1000))
    for (; sent < due; sent++) dice.pick(tabs).publish(String(sent))
  }
}
