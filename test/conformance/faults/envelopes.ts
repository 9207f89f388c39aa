// Faults in the answers that requests get.
import { changing, envelopeIn, type Fault, without } from '../fault.ts'

const grammar: Fault[] = [
  {
    name: 'errors have no id',
    section: 'Rules for all envelopes',
    says: /`id` is not a/,
    check: 'a type that is none is unknown_type, with the id',
    toClient: without('error', 'id'),
  },
  {
    name: 'an unknown type is a bad envelope',
    section: 'Rules for all envelopes',
    says: /not unknown_type/,
    check: 'a type that is none is unknown_type, with the id',
    toClient: changing('error', (envelope) => ({ ...envelope, code: 'bad_envelope' })),
  },
  {
    name: 'an id that is a number comes back as text',
    section: 'Rules for all envelopes',
    says: /`id` is not 0/,
    check: 'an id is a text of 1 to 64 characters or a safe integer, and comes back as it was',
    toClient: changing('pong', (envelope) => ({ ...envelope, id: String(envelope.id) })),
  },
  {
    name: 'rooms are folded to lower case',
    section: 'Rules for all envelopes',
    says: /only message is/,
    check: 'names are compared byte for byte',
    toServer: (text) => [text.replace(/"room":"[^"]*"/, (room) => room.toLowerCase())],
  },
  {
    name: 'rooms are normalised',
    section: 'Rules for all envelopes',
    says: /behind it: .* came/,
    check: 'names are compared byte for byte',
    toServer: (text) => [text.normalize('NFD')],
  },
  {
    name: 'pongs overtake other answers',
    section: 'Rules for all envelopes',
    says: /the next answer: `id`/,
    check: 'requests are answered in the order in which they were sent',
    toServer: (text, link) => {
      const envelope = envelopeIn(text)
      if (envelope?.type !== 'ping') return [text]
      link.tell(JSON.stringify({ type: 'pong', id: envelope.id }))
      return []
    },
  },
  {
    name: 'who breaks the grammar is put out',
    section: 'Rules for all envelopes',
    check: 'an error leaves the connection open',
    says: /the socket was closed with 1008/,
    toClient: changing('error', (_envelope, link) => {
      link.close(1008)
      return []
    }),
  },
]

const joins: Fault[] = [
  {
    name: 'a join is answered twice',
    section: 'join',
    says: /behind joined: .*joined.* came/,
    check: 'is answered with one `joined`, with the id and the room',
    toClient: changing('joined', (envelope) => [envelope, envelope]),
  },
  {
    name: 'the position in joined is one too small',
    section: 'join',
    says: /the offset is 2, not 3/,
    check: '`joined` has the position where the history ends',
    toClient: changing('joined', ({ offset, ...rest }) => ({
      ...rest,
      offset: Math.max(0, Number(offset) - 1),
    })),
  },
  {
    name: '`last` is not heeded',
    section: 'join',
    says: /`missed` is not 3/,
    check: '`last` brings the newest so many, in order, ahead of what is new',
    toServer: without('join', 'last'),
  },
  {
    name: 'who may not join is told that he has',
    section: 'join',
    says: /not with the error `forbidden`/,
    check: 'rooms that `can` does not allow are forbidden, and nothing of them comes',
    toClient: changing('error', ({ code, id, room }) =>
      code === 'forbidden' ? { type: 'joined', id, room } : undefined,
    ),
  },
  {
    name: 'a leave is answered and not carried out',
    section: 'leave',
    says: /behind left: .*message.* came/,
    check: 'no message of the room follows `left`',
    toServer: (text, link) => {
      const envelope = envelopeIn(text)
      if (envelope?.type !== 'leave') return [text]
      link.tell(JSON.stringify({ ...envelope, type: 'left' }))
      return []
    },
  },
  {
    name: 'the pong is ahead of what was sent before it',
    section: 'ping',
    says: /what came is/,
    check: 'what was sent to the client before is ahead of the pong',
    toClient: (text, link) => {
      const held = (link.memory.get('held') ?? []) as string[]
      const type = envelopeIn(text)?.type
      if (type === 'message') {
        link.memory.set('held', [...held, text])
        return []
      }
      if (type === 'pong') link.memory.delete('held')
      return type === 'pong' ? [text, ...held] : [text]
    },
  },
]

const asks: Fault[] = [
  {
    name: 'a history has the newest first',
    section: 'history',
    says: /the messages is \[4,3,2,1\]/,
    check: 'has the newest messages, in order, and where the history ends',
    toClient: changing('history', ({ messages, ...rest }) => ({
      ...rest,
      messages: (messages as unknown[]).toReversed(),
    })),
  },
  {
    name: '`limit` is not heeded',
    section: 'history',
    says: /the messages is \[1,2,3,4\]/,
    check: 'has `limit` messages at most, the newest',
    toServer: without('history', 'limit'),
  },
  {
    name: 'an unknown method has a result',
    section: 'call',
    says: /not with the error `unknown_method`/,
    check: 'of what the host does not know is unknown_method',
    toClient: changing('error', ({ id }) =>
      id === undefined ? undefined : { type: 'result', id, result: null },
    ),
  },
  {
    name: 'nobody is told who enters',
    section: 'Presence',
    says: /did not come/,
    check: 'who enters is told of, with the public `info`',
    toClient: changing('member', ({ entered: _entered, ...rest }) => rest),
  },
  {
    name: 'presence counts clients',
    section: 'Presence',
    says: /`count` is 3, not 2/,
    check: 'a user with two clients is one user',
    toClient: changing('presence', (envelope) => ({
      ...envelope,
      count: (envelope.users as { clients: number }[]).reduce((sum, { clients }) => sum + clients, 0),
    })),
  },
  {
    name: 'who is over the rate is not told when it ends',
    section: 'Rate',
    says: /retryAfterMs is undefined/,
    check: 'too many frames are `rate_limited`, without an id, and the client may go on later',
    toClient: without('error', 'retryAfterMs'),
  },
  {
    name: 'a message that is too large has another code',
    section: 'Size',
    says: /with 1006, not with 1009/,
    check: 'one byte more ends the client with 1009',
    close: () => 1006,
  },
]

export const envelopeFaults = [...grammar, ...joins, ...asks]
