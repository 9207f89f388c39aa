// What the heap of the test's own process holds, garbage left out.
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

/** By how much what `fill` returns makes the heap grow. */
export function heldBytes(fill: () => unknown): number {
  collect()
  const before = process.memoryUsage().heapUsed
  const filled = fill()
  collect()
  const held = process.memoryUsage().heapUsed - before
  // Else it might be garbage by now.
  if (filled === undefined) throw new Error('nothing to measure')
  return held
}
