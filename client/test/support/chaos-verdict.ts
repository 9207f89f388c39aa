import type { Publish, Sighting, Tab, View } from './chaos-tab.ts'

type Count =
  | 'acked'
  | 'nodeOnly'
  | 'failed'
  | 'maybe'
  | 'seen'
  | 'excusedByNode'
  | 'excusedByReload'
  | 'repeatedElsewhere'

/** What a run came to; `faults` are against docs/CLIENT.md. */
export interface Verdict {
  faults: string[]
  /** Also what may be missing, and why: told to the publisher, or to the reader. */
  counts: Record<Count, number>
}

/** Holds what every application saw against what every publisher was told. */
export function judge(tabs: readonly Tab[]): Verdict {
  const faults: string[] = []
  const counts: Verdict['counts'] = {
    ...{ acked: 0, nodeOnly: 0, failed: 0, maybe: 0, seen: 0 },
    ...{ excusedByNode: 0, excusedByReload: 0, repeatedElsewhere: 0 },
  }
  const byId = new Map<string, Publish>()
  for (const one of tabs.flatMap(({ publishes }) => publishes)) {
    byId.set(one.id, one)
    if (one.ack?.scope === 'cluster') counts.acked++
    else if (one.ack !== undefined) counts.nodeOnly++
    else if (one.failure?.maybeDelivered) counts.maybe++
    else if (one.failure !== undefined) counts.failed++
    else faults.push(`${one.id}: its promise has not settled`)
  }
  for (const tab of tabs)
    for (const view of tab.views) {
      const who = `${tab.name} in ${view.name}`
      const seen = new Map<string, Sighting>()
      for (const sighting of view.seen) {
        const { id } = sighting
        counts.seen++
        const one = byId.get(id)
        const before = seen.get(id)
        if (before !== undefined && isRepeatElsewhere(before, sighting)) counts.repeatedElsewhere++
        else if (before !== undefined)
          faults.push(`${who}: ${id} twice ${JSON.stringify([before, sighting, one])}`)
        if (one === undefined || one.room !== view.name) faults.push(`${who}: ${id} was not said there`)
        if (one?.failure?.maybeDelivered === false)
          faults.push(`${who}: ${id} was said to be undelivered (${one.failure.code})`)
        seen.set(id, sighting)
      }
      if (!tab.isClosed) missing(view, seen, byId, counts, (id) => faults.push(`${who}: ${id} is missing`))
    }
  return { faults, counts }
}

/**
 * The one way to come twice (docs/CLIENT.md): a node without Redis told it to its own members, and was lost before its
 * publisher knew, who said it again on another node.
 */
function isRepeatElsewhere(first: Sighting, second: Sighting): boolean {
  return first.offset === undefined && second.offset !== undefined && first.client !== second.client
}

function missing(
  { name, joinedAtMs = Infinity, reloadedAtMs }: View,
  seen: ReadonlyMap<string, Sighting>,
  publishes: ReadonlyMap<string, Publish>,
  counts: Verdict['counts'],
  onMissing: (id: string) => void,
): void {
  const lastReloadMs = reloadedAtMs.at(-1) ?? 0
  for (const { id, room, ack, sentAtMs } of publishes.values()) {
    if (room !== name || ack === undefined || seen.has(id) || sentAtMs < joinedAtMs) continue
    // The application has loaded its state anew since.
    if (sentAtMs < lastReloadMs) counts.excusedByReload++
    else if (ack.scope === 'node') counts.excusedByNode++
    else onMissing(id)
  }
}
