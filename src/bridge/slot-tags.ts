import calculateSlot from 'cluster-key-slot'
import { SLOTS } from './redis-topology.ts'

/** By slot; made once, in some 160,000 attempts. */
let tags: string[] | undefined

/** A short text that has the slot. */
export function tagOfSlot(slot: number): string {
  if (tags === undefined) {
    tags = new Array(SLOTS)
    for (let found = 0, n = 0; found < SLOTS; n++) {
      const text = n.toString(36)
      const its = calculateSlot(text)
      if (tags[its] !== undefined) continue
      tags[its] = text
      found++
    }
  }
  return tags[slot] as string
}
