import type { Mode } from './arena.ts'
import type { Dice } from './dice.ts'
import { type Draw, type FaultKind, faultKinds } from './faults.ts'

/** A fault to come. */
export interface Step {
  atMs: number
  kind: FaultKind
  draw: Draw
}

/** Connections of a node to Redis by what they say: all, those that subscribe, those that publish. */
const words = ['', 'subscribe', 'evalsha']

/** What happens when, from the dice alone. */
export function planFor(mode: Mode, seconds: number, dice: Dice): Step[] {
  const kinds = faultKinds.filter(({ modes }) => modes.includes(mode))
  const steps: Step[] = []
  let atMs = dice.int(1000, 2500)
  while (atMs < seconds * 1000) {
    const ms = dice.chance(0.5) ? dice.int(100, 1500) : dice.int(1500, 6000)
    const draw = { which: dice.int(0, 1_000_000), ms, share: 0.1 + dice.next() / 2, word: dice.pick(words) }
    steps.push({ atMs, kind: dice.weighted(kinds), draw })
    // Some run into each other, and now and then there is time for all to be well.
    atMs += dice.chance(0.3)
      ? dice.int(50, 800)
      : dice.chance(0.2)
        ? dice.int(6000, 9000)
        : dice.int(1000, 5000)
  }
  return steps
}

/** The plan as a person reads it. */
export function planText(steps: readonly Step[]): string {
  return steps
    .map(({ atMs, kind, draw }) => `${(atMs / 1000).toFixed(1)} ${kind.name} ${JSON.stringify(draw)}`)
    .join('\n')
}
