// Faults in what comes to those who come back.
import { changing, type Envelope, envelopeIn, type Fault, type Link, without } from '../fault.ts'

/** What a join's answer says, for as long as messages follow it. */
function missedOf(link: Link): number {
  const left = Number(link.memory.get('missed') ?? 0)
  link.memory.set('missed', left - 1)
  return left
}

/** Leaves out the second of what is recovered; `tells` makes joined say so. */
function withHole(tells: boolean) {
  return (text: string, link: Link): string[] => {
    const envelope = envelopeIn(text)
    if (envelope?.type === 'joined' && envelope.recovered === true && Number(envelope.missed) > 1) {
      link.memory.set('missed', 2)
      return [tells ? JSON.stringify({ ...envelope, missed: Number(envelope.missed) - 1 }) : text]
    }
    return envelope?.type === 'message' && missedOf(link) === 1 ? [] : [text]
  }
}

const BRINGS = 'brings what was missed, in order, each once, then what is new'
const section = 'Recovery'
export const recoveryFaults: Fault[] = [
  {
    name: '`missed` is one too small',
    section,
    check: BRINGS,
    says: /`missed` is not 3/,
    toClient: changing('joined', (envelope) =>
      envelope.missed ? { ...envelope, missed: Number(envelope.missed) - 1 } : undefined,
    ),
  },
  {
    name: 'a hole in what is recovered',
    section,
    check: BRINGS,
    says: /what follows is \[1,3,4|did not come/,
    toClient: withHole(false),
  },
  {
    name: 'a hole in what is recovered, and `missed` agrees',
    section,
    check: BRINGS,
    says: /`missed` is not 3/,
    toClient: withHole(true),
  },
  {
    name: 'recovered says true with all of it lost',
    section,
    says: /`recovered` is not false/,
    check: 'another epoch is not recovered, and nothing follows',
    toClient: changing('joined', (envelope) =>
      envelope.recovered === false ? { ...envelope, recovered: true } : undefined,
    ),
  },
  {
    name: 'recovered says true with the oldest lost',
    section,
    says: /beside `missed`|recovered.: true/,
    check: 'it is never `true` with a hole behind `since`',
    toClient: changing('joined', (envelope) =>
      envelope.recovered === false ? { ...envelope, recovered: true } : undefined,
    ),
  },
  {
    name: '`since` is not heeded',
    section,
    check: BRINGS,
    says: /`recovered` is not true/,
    toServer: without('join', 'since'),
  },
  {
    name: 'what is recovered has another time',
    section,
    check: 'what is recovered is what came live',
    says: /what was recovered is/,
    toClient: (text, link) => {
      const envelope = envelopeIn(text) as Envelope
      if (envelope.type === 'joined') link.memory.set('missed', Number(envelope.missed ?? 0))
      const isOld = envelope.type === 'message' && missedOf(link) > 0
      return [isOld ? JSON.stringify({ ...envelope, at: Number(envelope.at) + 1 }) : text]
    },
  },
  {
    name: 'what is recovered comes again',
    section,
    check: BRINGS,
    says: /what follows is \[1,1/,
    toClient: (text, link) => {
      const envelope = envelopeIn(text) as Envelope
      if (envelope.type === 'joined') link.memory.set('missed', Number(envelope.missed ?? 0))
      return envelope.type === 'message' && missedOf(link) > 0 ? [text, text] : [text]
    },
  },
]
