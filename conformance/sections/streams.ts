import { check, section } from '../check.ts'
import { expectEqual, expectFields, expectTrue, shown } from '../expect.ts'
import { contentsOf, type Envelope } from '../mailbox.ts'
import { jsonOf } from '../request.ts'
import type { Stream } from '../stream.ts'
import { type ConnectOptions, expectRefusal, positionIn, type Visit } from '../visit.ts'
import { sinceText } from './token-rooms.ts'

/** A stream of one room, behind its `joined`. */
async function listening(visit: Visit, room: string, options: ConnectOptions = {}) {
  const stream = await visit.stream([['room', room]], options)
  const joined = await stream.mail.find('joined', ({ type }) => type === 'joined')
  return { stream, joined }
}

async function messages({ mail }: Stream, count: number): Promise<Envelope[]> {
  const got: Envelope[] = []
  while (got.length < count) got.push(await mail.find('a message', ({ type }) => type === 'message'))
  return got
}

const refusals = [
  check('no token is 401', async (visit) => {
    expectRefusal(await visit.send('/sse?room=a'), 401, 'unauthorized')
  }),
  check('an Accept without text/event-stream is 406', async (visit) => {
    const path = `/sse?room=a&token=${visit.target.token()}`
    const answer = await visit.send(path, { headers: { Accept: 'application/json' } })
    expectRefusal(answer, 406, 'bad_upgrade')
  }),
  check('a query that breaks its rules is 400', async (visit) => {
    const token = visit.target.token()
    for (const query of ['last=all', 'last=0', `room=${'r'.repeat(129)}`, 'room=']) {
      const answer = await visit.send(`/sse?token=${token}&${query}`)
      expectTrue(answer.status === 400, `${query} is answered with ${answer.status}`)
      expectFields(jsonOf(answer), { error: 'bad_request' }, 'the refusal')
    }
  }),
]

const events = [
  check('it begins with welcome and a `joined` for each room, as text/event-stream', async (visit) => {
    const rooms = [visit.room(), visit.room()]
    const stream = await visit.stream(rooms.map((room) => ['room', room]))
    const type = String(stream.headers['content-type'])
    expectTrue(type.startsWith('text/event-stream'), `the content type is ${type}`)
    expectFields(await stream.mail.next('welcome'), { type: 'welcome' }, 'the first')
    for (const room of rooms)
      expectFields(await stream.mail.next('joined'), { type: 'joined', room }, 'what follows')
    expectTrue(Number(stream.retryMs) > 0, 'there is no retry: line')
  }),
  check('a token in Authorization is let in', async (visit) => {
    const headers = { Authorization: `Bearer ${visit.target.token()}` }
    await listening(visit, visit.room(), { token: false, headers })
  }),
  check('an envelope is an event: its type, its text, and for messages an id', async (visit) => {
    const room = visit.room()
    const { stream, joined } = await listening(visit, room)
    expectEqual(stream.eventOf(joined).event, 'joined', 'the event of joined')
    const [ack] = await visit.said(room, 1)
    const [message = joined] = await messages(stream, 1)
    expectFields(message, { room, content: 1, offset: ack?.offset }, 'the message')
    const { event, id } = stream.eventOf(message)
    expectEqual(event, 'message', 'the event of a message')
    expectTrue(message.offset === undefined || Boolean(id), 'the event of a message has no id')
  }),
  check('`content` is byte for byte, but for a line break between its parts', async (visit) => {
    const room = visit.room()
    const { stream } = await listening(visit, room)
    const speaker = await visit.member(room)
    speaker.send(`{"type":"message","room":"${room}","content":{"big":1.50e2,\n"a":"\\n é"}}`)
    const [message] = await messages(stream, 1)
    const { data } = stream.eventOf(message as Envelope)
    const wanted = '"content":{"big":1.50e2, "a":"\\n é"}'
    expectTrue(data.includes(wanted), `${wanted} is not in ${shown(data)}`)
  }),
  check('a room that may not be joined brings an error, and the others go on', async (visit) => {
    const [room, shut] = [visit.room(), visit.room()]
    const claims = { can: { join: [room] } }
    const stream = await visit.stream(
      [shut, room].map((name) => ['room', name]),
      { claims },
    )
    const error = await stream.mail.find('an error', ({ type }) => type === 'error')
    expectFields(error, { code: 'forbidden', room: shut }, 'the error')
    await stream.mail.find('joined', ({ type }) => type === 'joined')
    await visit.said(room, 1)
    expectEqual(contentsOf(await messages(stream, 1)), [1], 'what came')
  }),
]

const recovery = [
  check('`Last-Event-ID` recovers what was missed', async (visit) => {
    const room = visit.room()
    positionIn((await listening(visit, room)).joined)
    const { stream } = await listening(visit, room)
    await visit.said(room, 1)
    const [message] = await messages(stream, 1)
    const { id = '' } = stream.eventOf(message as Envelope)
    stream.close()
    await visit.said(room, 3)
    const back = await listening(visit, room, { headers: { 'Last-Event-ID': id } })
    expectFields(back.joined, { recovered: true, missed: 3 }, 'joined')
    expectEqual(contentsOf(await messages(back.stream, 3)), [1, 2, 3], 'what follows')
  }),
  check('`since` recovers as well, and `Last-Event-ID` goes before it', async (visit) => {
    const room = visit.room()
    const { epoch, offset } = positionIn((await listening(visit, room)).joined)
    await visit.said(room, 3)
    const since = sinceText([[room, epoch, offset]])
    const one = await listening(visit, room, { query: { since } })
    expectFields(one.joined, { recovered: true, missed: 3 }, 'joined by since')
    const headers = { 'Last-Event-ID': sinceText([[room, epoch, offset + 2]]) }
    const other = await listening(visit, room, { query: { since }, headers })
    expectFields(other.joined, { recovered: true, missed: 1 }, 'joined by Last-Event-ID')
  }),
  check('`last` brings the newest so many', async (visit) => {
    const room = visit.room()
    positionIn((await listening(visit, room)).joined)
    await visit.said(room, 3)
    const { stream, joined } = await listening(visit, room, { query: { last: '2' } })
    expectFields(joined, { missed: 2 }, 'joined')
    expectEqual(contentsOf(await messages(stream, 2)), [2, 3], 'what follows')
  }),
  check('the token’s end ends it', async (visit) => {
    const claims = { exp: Math.floor(Date.now() / 1000) + 2 }
    const { stream } = await listening(visit, visit.room(), { claims })
    await stream.ended(2_000 + visit.target.timeoutMs)
  }),
]

export const streams = section('Event streams', [...refusals, ...events, ...recovery])
