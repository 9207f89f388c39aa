// Faults in what members get, how often, and in which order.
import { changing, envelopeIn, type Fault, type Link, without } from '../fault.ts'

/** Holds every other message back until the next one has gone. */
function swapped(text: string, link: Link): string[] {
  if (envelopeIn(text)?.type !== 'message') return [text]
  const held = link.memory.get('held') as string | undefined
  link.memory.set('held', held === undefined ? text : undefined)
  return held === undefined ? [] : [text, held]
}

/** Exchanges the first two. */
function swappedOnce(text: string, link: Link): string[] {
  if (link.memory.has('swapped') || envelopeIn(text)?.type !== 'message') return [text]
  const got = swapped(text, link)
  if (got.length > 0) link.memory.set('swapped', true)
  return got
}

const acks: Fault[] = [
  {
    name: 'an ack is dropped',
    section: 'message',
    says: /the answer to id-\d+ did not come/,
    check: '`ack` has the id, the room and the scope `cluster`',
    toClient: changing('ack', () => []),
  },
  {
    name: 'an ack has no scope',
    section: 'message',
    says: /`scope` is not cluster/,
    check: '`ack` has the id, the room and the scope `cluster`',
    toClient: without('ack', 'scope'),
  },
  {
    name: 'the offset in an ack is one too large',
    section: 'message',
    says: /the offsets in acks/,
    check: 'the offset grows by one with each message, in `ack` and in `message` alike',
    toClient: changing('ack', (envelope) => ({ ...envelope, offset: Number(envelope.offset) + 1 })),
  },
  {
    name: 'offsets skip numbers',
    section: 'message',
    says: /the offsets in messages/,
    check: 'the offset grows by one with each message, in `ack` and in `message` alike',
    toClient: changing('message', (envelope) => ({ ...envelope, offset: Number(envelope.offset) * 2 })),
  },
  {
    name: 'a duplicate is not told',
    section: 'message',
    says: /`duplicate` is not true/,
    check: 'a repeated `key` is a duplicate: the first offset, and nothing delivered',
    toClient: without('ack', 'duplicate'),
  },
  {
    name: 'keys are not heeded',
    section: 'message',
    says: /`duplicate` is not true/,
    check: 'a `key` counts on all connections of the user',
    toServer: without('message', 'key'),
  },
]

const reach: Fault[] = [
  {
    name: 'every message is an echo',
    section: 'message',
    says: /`content` is not echo/,
    check: 'the sender does not get it without `echo`, and gets it with',
    toServer: changing('message', (envelope) => ({ ...envelope, echo: true })),
  },
  {
    name: 'no message is an echo',
    section: 'message',
    says: /the echo did not come/,
    check: 'the sender does not get it without `echo`, and gets it with',
    toServer: without('message', 'echo'),
  },
  {
    name: 'messages leak to those who have not joined',
    section: 'join',
    says: /who was in another room/,
    check: 'who has not joined gets nothing',
    toClient: (text, link) => {
      if (envelopeIn(text)?.type === 'ack') {
        const leak = { type: 'message', room: envelopeIn(text)?.room, content: 1, from: {} }
        for (const other of link.all) if (other !== link) other.tell(JSON.stringify(leak))
      }
      return [text]
    },
  },
  {
    name: 'who is no member may publish',
    section: 'message',
    says: /not with the error `not_member`/,
    check: 'who is no member may not publish, and is told so without an id too',
    toClient: changing('error', ({ code, id, room }) =>
      code === 'not_member' ? { type: 'ack', id, room, scope: 'cluster' } : undefined,
    ),
  },
  {
    name: 'what is not to be kept is kept',
    section: 'message',
    says: /the history is/,
    check: '`keep: false` is in no history and never recovered',
    toServer: without('message', 'keep'),
  },
  {
    name: 'a broadcast reaches nobody',
    section: 'message',
    says: /the broadcast did not come/,
    check: 'without a room it reaches every client, in whatever rooms',
    toClient: changing('message', ({ room }) => (room === undefined ? [] : undefined)),
  },
]

const CONTENT = '`content` is the sender’s own text, byte for byte'
const messages: Fault[] = [
  {
    name: 'content is parsed and written again',
    section: 'To the client',
    check: CONTENT,
    says: /was sent, and/,
    toClient: changing('message', (envelope) => envelope),
  },
  {
    name: 'white space is taken out of content',
    section: 'To the client',
    check: CONTENT,
    says: /was sent, and/,
    toClient: (text) => [text.replace(/\s+([:,\]}])/g, '$1')],
  },
  {
    name: 'some separators are escaped',
    section: 'To the client',
    check: CONTENT,
    says: /was sent, and/,
    toClient: (text) => [text.replaceAll('\u2028', '\\u2028')],
  },
  {
    name: 'a client may say who it is',
    section: 'To the client',
    says: /`from`: `client` is not/,
    check: 'a client cannot set `from`, `at` and `offset`',
    toServer: changing('message', (envelope, link, text) => {
      if (envelope.from !== undefined) for (const one of link.all) one.memory.set('from', envelope.from)
      return text === '' ? {} : undefined
    }),
    toClient: changing('message', (envelope, link) => {
      const from = link.memory.get('from')
      return from === undefined ? undefined : { ...envelope, from }
    }),
  },
  {
    name: '`at` is in seconds',
    section: 'To the client',
    check: '`at` is the time in ms',
    says: /at is \d+/,
    toClient: changing('message', (envelope) => ({
      ...envelope,
      at: Math.floor(Number(envelope.at) / 1000),
    })),
  },
  {
    name: 'a message comes twice',
    section: 'To the client',
    says: /what came is \[0,0,1,1/,
    check: 'a client’s messages keep their order, and each comes once',
    toClient: (text) => (envelopeIn(text)?.type === 'message' ? [text, text] : [text]),
  },
  {
    name: 'two messages change places',
    section: 'To the client',
    says: /what came is \[1,0,3,2/,
    check: 'a client’s messages keep their order, and each comes once',
    toClient: swapped,
  },
  {
    name: 'one in fifty messages is lost',
    section: 'To the client',
    says: /message 60 of 60 did not come/,
    check: 'a client’s messages keep their order, and each comes once',
    toClient: changing('message', ({ content }) => (content === 49 ? [] : undefined)),
  },
  {
    name: 'members get messages in orders of their own',
    section: 'To the client',
    check: 'all members get messages in one and the same order',
    says: /the offsets are|the order of/,
    toClient: (text, link) => ([...link.all].indexOf(link) % 2 === 0 ? [text] : swappedOnce(text, link)),
  },
]

export const deliveryFaults = [...acks, ...reach, ...messages]
