import { check, section } from '../check.ts'
import { expectEqual, expectFields, expectTrue, shown } from '../expect.ts'
import { api, apiAs, BACKENDS, expectProblem, granted, messagesOf } from './api.ts'
import { needHistory } from './message.ts'

const one = [
  check('members get it, from `server` and with `app`, and the answer is an ack', async (visit) => {
    const room = visit.room()
    const listener = await visit.member(room)
    const answer = await granted(visit, messagesOf(room), { body: { content: { a: 1 } } })
    const got = await listener.message()
    expectFields(answer, { scope: 'cluster', offset: got.offset, duplicate: undefined }, 'the answer')
    expectFields(got, { room, content: { a: 1 } }, 'the message')
    expectFields(got.from as object, { user: 'server', app: true }, '`from`')
  }),
  check('`content` is relayed byte for byte', async (visit) => {
    const room = visit.room()
    const listener = await visit.member(room)
    const content = '{"b":1.0,"a":[12345678901234567890, "\\u00e9"]}'
    await granted(visit, messagesOf(room), { body: `{"content":${content}}` })
    const text = listener.mail.textOf(await listener.message())
    expectTrue(text.includes(`"content":${content}`), `${content} was sent, and ${text} came`)
  }),
  check('`user` says whom members see it from', async (visit) => {
    const room = visit.room()
    const listener = await visit.member(room)
    await granted(visit, messagesOf(room), { body: { content: 1, user: 'bot' } })
    const { from } = await listener.message()
    expectFields(from as object, { user: 'bot', app: true }, '`from`')
  }),
  check('`exclude` names the client that must not get it', async (visit) => {
    const room = visit.room()
    const [client, listener] = [await visit.member(room), await visit.member(room)]
    await granted(visit, messagesOf(room), { body: { content: 'others', exclude: client.client } })
    await granted(visit, messagesOf(room), { body: { content: 'all' } })
    expectFields(await client.message(), { content: 'all' }, 'the first message of the excluded')
    expectFields(await listener.message(), { content: 'others' }, 'the first message of another')
  }),
  check('a repeated `key` is a duplicate and delivers nothing', async (visit) => {
    const room = visit.room()
    const listener = await visit.member(room)
    const first = await granted(visit, messagesOf(room), { body: { content: 1, key: 'k' } })
    const again = await granted(visit, messagesOf(room), { body: { content: 2, key: 'k' } })
    expectFields(again, { duplicate: true, offset: first.offset }, 'the second answer')
    await granted(visit, messagesOf(room), { body: { content: 3 } })
    expectEqual(
      (await listener.messages(2)).map(({ content }) => content),
      [1, 3],
      'what came',
    )
  }),
  check('`keep: false` has no offset and is in no history', async (visit) => {
    await needHistory(visit)
    const room = visit.room()
    const listener = await visit.member(room)
    const answer = await granted(visit, messagesOf(room), { body: { content: 1, keep: false } })
    expectFields(answer, { offset: undefined }, 'the answer')
    expectFields(await listener.message(), { content: 1, offset: undefined }, 'the message')
    const { messages } = await granted(visit, messagesOf(room))
    expectEqual(messages, [], 'the history')
  }),
  check('a user’s token publishes as its user, without `app`, where it may', async (visit) => {
    const room = visit.room()
    const listener = await visit.member(room)
    await granted(visit, messagesOf(room), { body: { content: 1 } })
    await listener.message()
    const sub = visit.target.user()
    const token = visit.target.token({ sub, can: { publish: [room] } })
    const { status } = await apiAs(visit, token, messagesOf(room), { body: { content: 2 } })
    expectEqual(status, 200, 'the status')
    const { from } = await listener.message()
    expectFields(from as object, { user: sub, app: undefined }, '`from`')
    const other = await apiAs(visit, token, messagesOf(visit.room()), { body: { content: 3 } })
    expectProblem(other, 403, 'forbidden')
  }),
  check('a body that breaks a rule is 400 bad_request', async (visit) => {
    const room = visit.room()
    for (const body of [{}, '{', '[1]', { content: 1, key: '' }, { content: 1, key: 'k', keep: false }])
      expectProblem(await api(visit, messagesOf(room), { body }), 400, 'bad_request')
  }),
  check('a name that breaks its rule is 400 bad_room', async (visit) => {
    for (const room of ['\n', 'x'.repeat(129)])
      expectProblem(await api(visit, messagesOf(room), { body: { content: 1 } }), 400, 'bad_room')
  }),
]

const many = [
  check('each room of a publish to several has its answer', async (visit) => {
    const rooms = [visit.room(), visit.room()]
    const listener = await visit.member(rooms[0] as string)
    await listener.join(rooms[1] as string)
    const { results } = await granted(visit, '/messages', { body: { rooms, content: 1 } })
    const list = results as Record<string, unknown>[]
    expectEqual(
      list.map(({ room }) => room),
      rooms,
      'the rooms of the results',
    )
    const got = (await listener.messages(2)).map(({ room }) => room)
    expectEqual(got.toSorted(), rooms.toSorted(), 'the rooms of the messages')
  }),
  check('`users` reaches all clients of a user, without a room', async (visit) => {
    const sub = visit.target.user()
    const clients = [await visit.connect({ sub }), await visit.connect({ sub })]
    const { results } = await granted(visit, '/messages', { body: { users: [sub], content: 'for you' } })
    expectFields((results as object[])[0] ?? {}, { users: [sub], clients: 2 }, 'the result')
    for (const { mail } of clients) {
      const got = await mail.findRoomless('the notice', ({ content }) => content === 'for you')
      expectFields(got, { room: undefined, offset: undefined }, 'the notice')
    }
  }),
  check('a list is carried out in its order', async (visit) => {
    const room = visit.room()
    const listener = await visit.member(room)
    const body = [1, 2, 3].map((content) => ({ rooms: [room], content }))
    const answer = await api(visit, '/messages', { body })
    expectTrue(Array.isArray(answer.body) && answer.body.length === 3, `the answer is ${shown(answer.body)}`)
    expectEqual(
      (await listener.messages(3)).map(({ content }) => content),
      [1, 2, 3],
      'what came',
    )
  }),
  check('one of `rooms`, `users` and `broadcast` is needed', async (visit) => {
    for (const more of [{}, { rooms: ['a'], users: ['b'] }, { rooms: [] }])
      expectProblem(await api(visit, '/messages', { body: { content: 1, ...more } }), 400, 'bad_request')
  }),
]

export const apiPublishing = section('Publishing', [...one, ...many], BACKENDS)
