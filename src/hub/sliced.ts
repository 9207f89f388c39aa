import { setImmediate as nextTurn } from 'node:timers/promises'

/** So many are looked at before the loop gets its turn. */
const SLICE = 10_000

/** Looks at all of them, and lets the loop have its turn meanwhile. */
export async function each<Item>(items: Iterable<Item>, look: (item: Item) => void): Promise<void> {
  let count = 0
  for (const item of items) {
    look(item)
    if (++count % SLICE === 0) await nextTurn()
  }
}
