import { check, Skip, section } from '../check.ts'
import { expectEqual, expectFields, expectTrue, shown } from '../expect.ts'
import { positionIn, type Visit } from '../visit.ts'

/** Rooms on this server keep a history, and so have offsets. */
export async function needHistory(visit: Visit): Promise<void> {
  positionIn(await (await visit.connect()).join(visit.room()))
}

/** What reaches everybody is sent only where that is allowed. */
function needBroadcast({ target }: Visit): void {
  if (!target.broadcast) throw new Skip('it would reach every client of the server; --broadcast allows it')
}

const acks = [
  check('`ack` has the id, the room and the scope `cluster`', async (visit) => {
    const room = visit.room()
    const client = await visit.member(room)
    const ack = await client.publish(room, 1)
    expectFields(ack, { room, scope: 'cluster', duplicate: undefined }, 'ack')
    await client.expectNothing('behind the ack')
  }),
  check('the offset grows by one with each message, in `ack` and in `message` alike', async (visit) => {
    const room = visit.room()
    const listener = await visit.connect()
    const { offset: start } = positionIn(await listener.join(room))
    const offsets = (await visit.said(room, 4)).map(({ offset }) => offset)
    const expected = [1, 2, 3, 4].map((n) => start + n)
    expectEqual(offsets, expected, 'the offsets in acks')
    const got = (await listener.messages(4)).map(({ offset }) => offset)
    expectEqual(got, expected, 'the offsets in messages')
  }),
  check('without an id there is no `ack`', async (visit) => {
    const room = visit.room()
    const [client, listener] = [await visit.member(room), await visit.member(room)]
    client.send({ type: 'message', room, content: 1 })
    await listener.message()
    await client.publish(room, 2)
    await client.expectNothing('for what had no id')
  }),
]

const reach = [
  check('the sender does not get it without `echo`, and gets it with', async (visit) => {
    const room = visit.room()
    const client = await visit.member(room)
    await client.publish(room, 'silent')
    await client.publish(room, 'false', { echo: false })
    await client.publish(room, 'echo', { echo: true })
    expectFields(await client.message('the echo'), { content: 'echo', room }, 'the first message')
    await client.expectNothing('behind the echo')
  }),
  check('other clients of the same user get it', async (visit) => {
    const [room, sub] = [visit.room(), visit.target.user()]
    const [one, other] = [await visit.member(room, { sub }), await visit.member(room, { sub })]
    await one.publish(room, 1)
    expectFields(await other.message(), { content: 1 }, 'the message')
  }),
  check('who is no member may not publish, and is told so without an id too', async (visit) => {
    const room = visit.room()
    const listener = await visit.member(room)
    const stranger = await visit.connect()
    await stranger.refused({ type: 'message', room, content: 'no' }, 'not_member')
    stranger.send({ type: 'message', room, content: 'no' })
    expectFields(await stranger.mail.next('an error'), { code: 'not_member', id: undefined }, 'the error')
    await visit.said(room, 1)
    expectFields(await listener.message(), { content: 1 }, 'the only message')
  }),
  check('`can.publish` says where it may be published', async (visit) => {
    const [room, other] = [visit.room(), visit.room()]
    const can = { join: [room, other], publish: [other] }
    const client = await visit.member(room, { claims: { can } })
    const listener = await visit.member(room)
    await client.refused({ type: 'message', room, content: 'no' }, 'forbidden')
    await client.join(other)
    await client.publish(other, 'yes')
    await visit.said(room, 1)
    expectFields(await listener.message(), { content: 1 }, 'the only message')
  }),
  check('`content` must be there, and may be null', async (visit) => {
    const room = visit.room()
    const client = await visit.member(room)
    await client.refused({ type: 'message', room }, 'bad_envelope')
    const listener = await visit.member(room)
    await client.publish(room, null)
    expectFields(await listener.message(), { content: null }, 'the message')
  }),
  check('fields of the wrong type are bad_envelope', async (visit) => {
    const room = visit.room()
    const client = await visit.member(room)
    const wrong = [{ echo: 1 }, { keep: 'no' }, { key: '' }, { key: 5 }, { key: 'k'.repeat(65) }]
    for (const more of [...wrong, { traceparent: 'here' }, { keep: false, key: 'k' }])
      await client.refused({ type: 'message', room, content: 1, ...more }, 'bad_envelope')
  }),
  check('without a room it reaches every client, in whatever rooms', async (visit) => {
    needBroadcast(visit)
    const [client, listener] = [await visit.connect(), await visit.connect()]
    const content = `conformance ${visit.room()}`
    const ack = await client.ask({ type: 'message', content })
    expectFields(ack, { type: 'ack', room: undefined, offset: undefined }, 'the answer')
    const got = await listener.mail.findRoomless('the broadcast', (envelope) => envelope.content === content)
    expectFields(got, { type: 'message', room: undefined, offset: undefined }, 'the broadcast')
  }),
  check('a broadcast needs `can.broadcast`', async (visit) => {
    needBroadcast(visit)
    const client = await visit.connect({ claims: { can: { join: ['*'], publish: ['*'] } } })
    await client.refused({ type: 'message', content: 'conformance' }, 'forbidden')
  }),
]

const unkept = [
  check('`keep: false` is delivered in its place, has no offset and leaves no gap', async (visit) => {
    await needHistory(visit)
    const room = visit.room()
    const [client, listener] = [await visit.member(room), await visit.member(room)]
    const before = await client.publish(room, 1)
    const ack = await client.publish(room, 'unkept', { keep: false })
    expectFields(ack, { offset: undefined }, 'the ack')
    const after = await client.publish(room, 2)
    expectEqual(after.offset, Number(before.offset) + 1, 'the next offset')
    const got = await listener.messages(3)
    expectEqual(
      got.map(({ content }) => content),
      [1, 'unkept', 2],
      'what came',
    )
    expectFields(got[1] ?? {}, { offset: undefined }, 'what is not kept')
  }),
  check('`keep: false` is in no history and never recovered', async (visit) => {
    const room = visit.room()
    const client = await visit.connect()
    const since = positionIn(await client.join(room))
    await client.publish(room, 'unkept', { keep: false })
    await client.publish(room, 1)
    const { messages } = await client.ask({ type: 'history', room })
    const kept = (messages as { content: unknown }[]).map(({ content }) => content)
    expectEqual(kept, [1], 'the history')
    const later = await visit.connect()
    expectFields(await later.join(room, { since }), { recovered: true, missed: 1 }, 'joined')
    expectFields(await later.message(), { content: 1 }, 'the first')
  }),
]

const keys = [
  check('a repeated `key` is a duplicate: the first offset, and nothing delivered', async (visit) => {
    const room = visit.room()
    const [client, listener] = [await visit.member(room), await visit.member(room)]
    const first = await client.publish(room, 'first', { key: 'k' })
    expectFields(first, { duplicate: undefined }, 'the first ack')
    const again = await client.publish(room, 'again', { key: 'k' })
    expectFields(again, { duplicate: true, offset: first.offset }, 'the second ack')
    await client.publish(room, 'other', { key: 'l' })
    const got = (await listener.messages(2)).map(({ content }) => content)
    expectEqual(got, ['first', 'other'], 'what was delivered')
    await listener.expectNothing('behind it')
  }),
  check('a `key` counts on all connections of the user', async (visit) => {
    const [room, sub] = [visit.room(), visit.target.user()]
    const listener = await visit.member(room)
    const first = await (await visit.member(room, { sub })).publish(room, 1, { key: 'k' })
    const again = await (await visit.member(room, { sub })).publish(room, 1, { key: 'k' })
    expectFields(again, { duplicate: true, offset: first.offset }, 'the ack of the repeat')
    await visit.said(room, 1)
    await listener.messages(2)
    await listener.expectNothing('behind two messages')
  }),
  check('a `key` counts for its user and its room alone', async (visit) => {
    const [room, other] = [visit.room(), visit.room()]
    const client = await visit.member(room)
    await client.join(other)
    const ack = await client.publish(room, 1, { key: 'k' })
    const answers = [
      await client.publish(other, 2, { key: 'k' }),
      await (await visit.member(room)).publish(room, 3, { key: 'k' }),
    ]
    for (const one of [ack, ...answers]) expectFields(one, { duplicate: undefined }, 'the ack')
    const got = await client.message()
    expectTrue(got.content === 3, `the other user's message did not come, but ${shown(got)}`)
  }),
]

export const message = section('message', [...acks, ...reach, ...unkept, ...keys])
