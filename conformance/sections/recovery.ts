import { check, section } from '../check.ts'
import { expectEqual, expectFields, expectTrue } from '../expect.ts'
import { contentsOf, type Envelope } from '../mailbox.ts'
import { positionIn, type Visit } from '../visit.ts'

/** More than most servers keep. */
const MANY = 130

const numbers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, n) => from + n)

/** A room's first position. */
async function begun(visit: Visit) {
  const room = visit.room()
  const client = await visit.connect()
  const since = positionIn(await client.join(room))
  return { room, client, since }
}

const taken = [
  check('brings what was missed, in order, each once, then what is new', async (visit) => {
    const { room, client, since } = await begun(visit)
    client.destroy()
    const speaker = await visit.member(room)
    for (const n of [1, 2, 3]) await speaker.publish(room, n)
    const back = await visit.connect()
    expectFields(await back.join(room, { since }), { recovered: true, missed: 3 }, 'joined')
    await speaker.publish(room, 4)
    const got = await back.messages(4)
    expectEqual(contentsOf(got), [1, 2, 3, 4], 'what follows')
    const offsets = got.map(({ offset }) => Number(offset) - since.offset)
    expectEqual(offsets, [1, 2, 3, 4], 'the offsets behind `since`')
    await back.expectNothing('behind it')
  }),
  check('from the end of the history it brings nothing', async (visit) => {
    const { room, client } = await begun(visit)
    await visit.said(room, 2)
    await client.messages(2)
    const since = positionIn(await (await visit.connect()).join(room))
    const back = await visit.connect()
    const joined = await back.join(room, { since })
    expectFields(joined, { recovered: true, missed: 0, ...since }, 'joined')
    await back.expectNothing('behind joined')
  }),
  check('the client’s own messages count as missed too', async (visit) => {
    const { room, client, since } = await begun(visit)
    await client.publish(room, 'mine')
    const back = await visit.connect({ sub: String(client.welcome.user) })
    expectFields(await back.join(room, { since }), { recovered: true, missed: 1 }, 'joined')
    expectFields(await back.message(), { content: 'mine' }, 'the message')
  }),
  check('what is recovered is what came live', async (visit) => {
    const { room, client, since } = await begun(visit)
    await visit.said(room, 3)
    const live = await client.messages(3)
    const back = await visit.connect()
    await back.join(room, { since })
    expectEqual(await back.messages(3), live, 'what was recovered')
  }),
  check('under traffic nothing is missing and nothing comes twice', async (visit) => {
    const { room, since } = await begun(visit)
    const speaker = await visit.member(room)
    const back = await visit.connect()
    for (const n of numbers(1, 30)) speaker.send({ type: 'message', room, content: n })
    back.send({ type: 'join', room, since, id: 1 })
    for (const n of numbers(31, 60)) speaker.send({ type: 'message', room, content: n })
    expectFields(await back.mail.next('joined'), { type: 'joined', id: 1, recovered: true }, 'the first')
    expectEqual(contentsOf(await back.messages(60)), numbers(1, 60), 'what follows')
    await back.expectNothing('behind it')
  }),
  check('of a room that is joined already: nothing live comes twice', async (visit) => {
    const { room, client, since } = await begun(visit)
    await visit.said(room, 2)
    await client.messages(2)
    const { epoch, offset } = positionIn(await client.join(room))
    expectEqual({ epoch, offset }, { ...since, offset: since.offset + 2 }, 'the position in joined')
    await client.expectNothing('behind it')
  }),
]

const lost = [
  check('another epoch is not recovered, and nothing follows', async (visit) => {
    const { room, since } = await begun(visit)
    await visit.said(room, 2)
    const back = await visit.connect()
    const joined = await back.join(room, { since: { epoch: 'another', offset: 0 } })
    expectFields(joined, { recovered: false, missed: 0, epoch: since.epoch }, 'joined')
    await back.expectNothing('behind joined')
  }),
  check('an offset that never was is not recovered', async (visit) => {
    const { room, since } = await begun(visit)
    const back = await visit.connect()
    const joined = await back.join(room, { since: { ...since, offset: since.offset + 1000 } })
    expectFields(joined, { recovered: false, missed: 0 }, 'joined')
  }),
  check('it is never `true` with a hole behind `since`', async (visit) => {
    const { room, since } = await begun(visit)
    const speaker = await visit.member(room)
    for (const n of numbers(1, MANY)) speaker.send({ type: 'message', room, content: n })
    await speaker.publish(room, MANY + 1)
    const back = await visit.connect()
    const { recovered, missed } = await back.join(room, { since })
    const got = contentsOf(await back.fence())
    expectEqual(got.length, missed, 'the number of messages, beside `missed`,')
    const expected = recovered === true ? numbers(1, MANY + 1) : []
    expectEqual(got, expected, `what follows \`recovered\`: ${recovered}`)
  }),
  check('what is kept is recovered to its last message, however long ago it began', async (visit) => {
    const { room } = await begun(visit)
    const speaker = await visit.member(room)
    const acks: Envelope[] = []
    for (const n of numbers(1, MANY)) acks.push(await speaker.publish(room, n))
    const { epoch } = positionIn(await (await visit.connect()).join(room))
    const since = { epoch, offset: Number(acks[MANY - 6]?.offset) }
    const back = await visit.connect()
    const joined = await back.join(room, { since })
    expectFields(joined, { recovered: true, missed: 5 }, 'joined')
    expectEqual(contentsOf(await back.messages(5)), numbers(MANY - 4, MANY), 'what follows')
    expectTrue(joined.offset === since.offset + 5, `the offset in joined is ${joined.offset}`)
  }),
]

export const recovery = section('Recovery', [...taken, ...lost])
