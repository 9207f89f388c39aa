// Faults in event streams, the HTTP API and /health.
import { API_SECRET } from '../../support/api.ts'
import type { Asked, Fault } from '../fault.ts'

/** Leaves a field out of what back ends publish. */
function withoutField(name: string) {
  return (asked: Asked): Asked => {
    if (!asked.body.startsWith('{"')) return asked
    const { [name]: _left, ...rest } = JSON.parse(asked.body)
    return { ...asked, body: JSON.stringify(rest) }
  }
}

const section = 'Event streams'
const streams: Fault[] = [
  {
    name: 'events of messages have no id',
    section,
    says: /has no id/,
    check: 'an envelope is an event: its type, its text, and for messages an id',
    event: (text) => text.replace(/^id: .*$/m, ':'),
  },
  {
    name: 'events have no type',
    section,
    says: /the event of joined is/,
    check: 'an envelope is an event: its type, its text, and for messages an id',
    event: (text) => text.replace(/^event: .*\n/m, ''),
  },
  {
    name: 'Last-Event-ID is not heeded',
    section,
    says: /`recovered` is not true/,
    check: '`Last-Event-ID` recovers what was missed',
    asks: (asked) => ({ ...asked, headers: { ...asked.headers, 'last-event-id': undefined } }),
  },
  {
    name: 'an event has more lines than one',
    section,
    says: /more than one line/,
    check: '`content` is byte for byte, but for a line break between its parts',
    event: (text) => text.replace(/^data: (.*"content":\{)/m, 'data: $1\ndata: '),
  },
  {
    name: 'a stream is plain text',
    section,
    says: /the content type is text\/plain/,
    check: 'it begins with welcome and a `joined` for each room, as text/event-stream',
    answers: (got) => ({ ...got, headers: { ...got.headers, 'content-type': 'text/plain' } }),
  },
]

const api: Fault[] = [
  {
    name: 'the excluded gets it',
    section: 'Publishing',
    says: /`content` is not all/,
    check: '`exclude` names the client that must not get it',
    asks: withoutField('exclude'),
  },
  {
    name: 'a back end’s words are anybody’s',
    section: 'Publishing',
    says: /`app` is not true/,
    check: 'members get it, from `server` and with `app`, and the answer is an ack',
    toClient: (text) => [text.replace(/,"app":true/, '')],
  },
  {
    name: 'a back end’s content is written again',
    section: 'Publishing',
    says: /was sent, and/,
    check: '`content` is relayed byte for byte',
    asks: withoutField('none'),
  },
  {
    name: 'a limit of a history is not heeded',
    section: 'Reading',
    says: /the newest two/,
    check: 'a room’s history: the newest, `limit`, and what follows `since`',
    asks: (asked) => ({ ...asked, url: asked.url.replace(/\?limit=\d+$/, '') }),
  },
  {
    name: 'a disconnect has another code',
    section: 'Acting',
    says: /closed with 1000, not with 4403/,
    check: 'a client is disconnected with 4403 and the reason',
    close: (code) => (code === 4403 ? 1000 : code),
  },
  {
    name: 'a wrong secret is let in',
    section: 'Errors',
    says: /the answer is 200, not 401/,
    check: 'no secret, and a wrong one, are 401 unauthorized',
    asks: (asked) => ({ ...asked, headers: { ...asked.headers, authorization: `Bearer ${API_SECRET}` } }),
  },
  {
    name: 'a problem has no code',
    section: 'Errors',
    says: /`code` is not not_found/,
    check: 'a path that is none is 404 not_found',
    answers: (got) => ({ ...got, body: got.body.replace(/"code":"\w+",?/, '') }),
  },
  {
    name: 'a server that cannot be reached is healthy',
    section: 'Health',
    says: /the status is 500, not 200/,
    check: '/health/ready says that it takes new clients',
    answers: (got) => ({ ...got, status: 500 }),
  },
]

export const httpFaults = [...streams, ...api]
