import { check, section } from '../check.ts'
import { expectEqual, expectFields, expectTrue } from '../expect.ts'
import { contentsOf } from '../mailbox.ts'
import { positionIn } from '../visit.ts'

const plain = [
  check('is answered with one `joined`, with the id and the room', async (visit) => {
    const room = visit.room()
    const client = await visit.connect()
    const joined = await client.join(room)
    expectFields(joined, { type: 'joined', room, reason: undefined }, 'joined')
    await client.expectNothing('behind joined')
  }),
  check('without `since` and `last` there is no `recovered` and no `missed`', async (visit) => {
    const joined = await (await visit.connect()).join(visit.room())
    expectFields(joined, { recovered: undefined, missed: undefined, scope: undefined }, 'joined')
  }),
  check('`joined` has the position where the history ends', async (visit) => {
    const room = visit.room()
    const first = positionIn(await (await visit.connect()).join(room))
    const acks = await visit.said(room, 3)
    const later = positionIn(await (await visit.connect()).join(room))
    expectEqual(later.epoch, first.epoch, 'the epoch')
    expectEqual(later.offset, acks[2]?.offset, 'the offset')
    expectEqual(later.offset - first.offset, 3, 'how many offsets three messages have taken')
  }),
  check('a member gets what is said from then on, and nothing of before', async (visit) => {
    const room = visit.room()
    await visit.said(room, 2)
    const client = await visit.member(room)
    await (await visit.member(room)).publish(room, 'now')
    expectEqual((await client.message()).content, 'now', 'the first message')
    await client.expectNothing('behind it')
  }),
  check('who has not joined gets nothing', async (visit) => {
    const room = visit.room()
    const stranger = await visit.connect()
    await stranger.join(visit.room())
    await visit.said(room, 3)
    // Whoever leaks them has sent them before `joined`.
    await stranger.join(room)
    await stranger.expectNothing('who was in another room')
  }),
  check('to join twice is answered twice, and messages come once', async (visit) => {
    const room = visit.room()
    const client = await visit.member(room)
    const speaker = await visit.member(room)
    await speaker.publish(room, 1)
    await client.mail.find('the message', ({ content }) => content === 1)
    await client.join(room)
    await speaker.publish(room, 2)
    await speaker.publish(room, 3)
    expectEqual(contentsOf(await client.messages(2)), [2, 3], 'what follows')
    await client.expectNothing('behind them')
  }),
  check('rooms that `can` does not allow are forbidden, and nothing of them comes', async (visit) => {
    const room = visit.room()
    const client = await visit.connect({ claims: { can: { join: [`${room}.x`] } } })
    await client.refused({ type: 'join', room }, 'forbidden')
    await visit.said(room, 1)
    await client.join(`${room}.x`)
    await client.expectNothing('of a forbidden room')
  }),
]

const last = [
  check('`last` brings the newest so many, in order, ahead of what is new', async (visit) => {
    const room = visit.room()
    positionIn(await (await visit.connect()).join(room))
    const speaker = await visit.member(room)
    for (const n of [1, 2, 3, 4, 5]) await speaker.publish(room, n)
    const client = await visit.connect()
    expectFields(await client.join(room, { last: 3 }), { missed: 3, recovered: undefined }, 'joined')
    await speaker.publish(room, 6)
    expectEqual(contentsOf(await client.messages(4)), [3, 4, 5, 6], 'what follows')
    await client.expectNothing('behind it')
  }),
  check('`last` brings what there is where that is less', async (visit) => {
    const room = visit.room()
    positionIn(await (await visit.connect()).join(room))
    await visit.said(room, 2)
    const client = await visit.connect()
    expectFields(await client.join(room, { last: 50 }), { missed: 2 }, 'joined')
    expectEqual(contentsOf(await client.messages(2)), [1, 2], 'what follows')
  }),
  check('`since` goes ahead of `last`, which comes where that cannot be taken up', async (visit) => {
    const room = visit.room()
    const since = positionIn(await (await visit.connect()).join(room))
    await visit.said(room, 4)
    const one = await visit.connect()
    expectFields(await one.join(room, { since, last: 2 }), { recovered: true, missed: 4 }, 'joined')
    expectEqual(contentsOf(await one.messages(4)), [1, 2, 3, 4], 'what `since` brings')
    const other = await visit.connect()
    const lost = { epoch: 'another', offset: 1 }
    expectFields(await other.join(room, { since: lost, last: 2 }), { recovered: false, missed: 2 }, 'joined')
    expectEqual(contentsOf(await other.messages(2)), [3, 4], 'what `last` brings')
  }),
  check('fields of the wrong type are bad_envelope', async (visit) => {
    const client = await visit.connect()
    const room = visit.room()
    const wrong = [{ last: 0 }, { last: '3' }, { last: 1.5 }, { since: 5 }, { since: { epoch: 'a' } }]
    for (const more of [...wrong, { since: { epoch: 'a', offset: -1 } }, { presence: 'yes' }])
      await client.refused({ type: 'join', room, ...more }, 'bad_envelope')
    const answer = await client.ask({ type: 'message', room, content: 1 })
    expectTrue(answer.code === 'not_member', 'one of them has joined the room')
  }),
]

export const join = section('join', [...plain, ...last])
