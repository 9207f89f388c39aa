// The checker: from a recording alone, against docs/PROTOCOL.md. It knows nothing of the product.
import { checkAcks } from './acks.ts'
import { type Jump, MemberWalk } from './member-walk.ts'
import { PositionWalk } from './position-walk.ts'
import type { Life, Recording } from './recording.ts'
import { Sightings } from './sightings.ts'
import { readStory, type Story } from './story.ts'
import { Verdict } from './verdict.ts'

/** Full delivery is back so long after the last fault, clients' back-off of 5 s included. */
const WHOLE_MS = 15_000

/** Everything that is wrong in a recording, the first first, and what was counted on the way. */
export function check(recording: Recording): Verdict {
  const story = readStory(recording)
  const verdict = new Verdict(recording)
  const sightings = new Sightings()
  const walks = new Map<Life, MemberWalk>()
  for (const [life, events] of story.events) {
    const walk = new MemberWalk(life, story, sightings, verdict)
    walks.set(life, walk)
    walk.walk(events)
  }
  const jumps = [...walks.values()].flatMap((walk) => walk.jumps)
  for (const jump of jumps) checkJump(jump, story, sightings, verdict)
  sightings.checkPlaces(story, verdict)
  sightings.checkSenders(story, verdict)
  for (const person of new Set(recording.lives.map(({ person }) => person))) {
    const lives = recording.lives.filter((life) => life.person === person)
    new PositionWalk(person, story, sightings, jumps, verdict).walk(lives)
  }
  checkAcks(story, sightings, walks, verdict)
  checkWhole(recording, verdict)
  verdict.violations.sort((a, b) => a.atMs - b.atMs)
  return verdict
}

/** What was passed over is the member's own, or it had it early, or its node or Redis was in trouble. */
function checkJump(jump: Jump, { clients, messages }: Story, sightings: Sightings, verdict: Verdict): void {
  const { life, room, epoch, from, to, atMs, seen } = jump
  for (let offset = from + 1; offset < to; offset++) {
    const one = sightings.at(room, { epoch, offset })
    if (one === undefined) {
      verdict.count('offsets that nobody saw')
      continue
    }
    const isOwn = clients.get(one.client) === life && messages.get(one.mid)?.isEchoed === false
    if (isOwn || seen.has(one.mid)) continue
    if (verdict.faultAt(life.node, atMs) ?? verdict.faultAt(life.node, one.atMs))
      verdict.count('jumps in a fault')
    else {
      const text = `${room}: ${from}, then ${to} of ${epoch}; ${one.mid} at ${offset} did not come`
      verdict.violate('a jump without a fault', life, atMs, text, one.mid)
    }
  }
}

function checkWhole({ lives, calmMs, wholeMs }: Recording, verdict: Verdict): void {
  const [life] = lives
  if (life === undefined || (wholeMs !== undefined && wholeMs - calmMs <= WHOLE_MS)) return
  const took = wholeMs === undefined ? 'never' : `after ${Math.round(wholeMs - calmMs)} ms`
  verdict.violate('not whole', life, calmMs, `everybody has everything ${took}`)
}
