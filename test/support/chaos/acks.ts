// Whether the acks are true.
import type { MemberWalk } from './member-walk.ts'
import type { Life } from './recording.ts'
import type { Sightings } from './sightings.ts'
import type { Ack, Event, Message, Story, Try } from './story.ts'
import type { Verdict } from './verdict.ts'

/** A node's own members have what was acked `node`, at the latest so long after the ack. */
const DELIVERED_MS = 1500
/** A member whose memberships changed so shortly before a message is not asked about it. */
const SETTLED_MS = 3000

/** `cluster` with an offset is in the room there; what is acked `node` its members on the node have. */
export function checkAcks(
  story: Story,
  sightings: Sightings,
  walks: ReadonlyMap<Life, MemberWalk>,
  verdict: Verdict,
): void {
  for (const message of story.messages.values()) {
    for (const [index, one] of message.tries.entries()) {
      const { ack } = one
      if (ack === undefined) continue
      verdict.count(`acks ${ack.scope}${ack.isDuplicate ? ' duplicate' : ''}`)
      const fault = formFault(message, index, ack, verdict)
      if (fault !== undefined)
        verdict.violate('ack', one.life, ack.atMs, `${message.mid} ${fault}`, message.mid)
      else if (ack.scope === 'cluster') checkPlace(message, one, ack, sightings, verdict)
      else if (!ack.isDuplicate) checkNode(message, one, ack, story, walks, verdict)
    }
  }
}

function formFault({ room, hasKey }: Message, index: number, ack: Ack, verdict: Verdict): string | undefined {
  const { scope, offset, isDuplicate } = ack
  if (isDuplicate && (index === 0 || !hasKey)) return 'is a duplicate of nothing'
  if (scope === 'node') {
    if (!verdict.hasBridge) return 'is acked node, with the bridge in memory'
    return offset === undefined ? undefined : 'is acked node, with an offset'
  }
  if (scope !== 'cluster') return `is acked ${scope}`
  return (offset === undefined) === (room === undefined)
    ? undefined
    : 'has an offset where there is none, or none'
}

function checkPlace(
  { mid, room, tries }: Message,
  one: Try,
  ack: Ack,
  sightings: Sightings,
  verdict: Verdict,
): void {
  if (room === undefined) return
  if (sightings.of(mid).some(({ offset }) => offset === ack.offset)) return
  // What was lost, or what nobody could hear, cannot be told from what never was.
  const fromMs = tries[0]?.atMs ?? one.atMs
  if (verdict.mayHaveLost(fromMs, ack.atMs)) verdict.count('acked and lost')
  else verdict.violate('a false ack', one.life, ack.atMs, `${room}: ${mid} is not at ${ack.offset}`, mid)
}

/** Only members are asked that had settled, stayed, and were heard of afterwards. */
function checkNode(
  { mid, room, isEchoed }: Message,
  one: Try,
  ack: Ack,
  { events }: Story,
  walks: ReadonlyMap<Life, MemberWalk>,
  verdict: Verdict,
): void {
  if (room === undefined) return
  const process = nodeOf(events.get(one.life) ?? [])
  for (const [life, walk] of walks) {
    const own = events.get(life) ?? []
    if ((life === one.life && !isEchoed) || nodeOf(own) !== process) continue
    if ((own.at(-1)?.atMs ?? 0) < ack.atMs + DELIVERED_MS) continue
    const ofRoom = own.filter(({ envelope }) => envelope.room === room && envelope.type !== 'message')
    const last = ofRoom.findLast(({ atMs }) => atMs < one.atMs - SETTLED_MS)
    const isMoving = ofRoom.some(
      ({ atMs, envelope }) =>
        atMs >= one.atMs - SETTLED_MS &&
        atMs <= ack.atMs + DELIVERED_MS &&
        /^(join|leave|left)/.test(envelope.type),
    )
    if (isMoving || !/^(joined|reset|ack|history)$/.test(last?.envelope.type ?? '')) continue
    verdict.count('deliveries of what was acked node')
    if (!walk.has(mid))
      verdict.violate('acked node, not delivered', life, ack.atMs, `${mid} by ${one.life.person}`, mid)
  }
}

function nodeOf(events: readonly Event[]): unknown {
  return (events[0]?.envelope as { node?: string } | undefined)?.node
}
