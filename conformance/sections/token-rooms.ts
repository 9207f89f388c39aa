import { check, section } from '../check.ts'
import { expectEqual, expectFields } from '../expect.ts'
import { positionIn, type Visit } from '../visit.ts'

type Place = [room: string, epoch: string, offset: number]

/** As `since` in the query has it. */
export function sinceText(places: Place[]): string {
  return Buffer.from(JSON.stringify(places)).toString('base64url')
}

/** Connects with the room in the token, from this place on. */
function comeBack(visit: Visit, room: string, since: string) {
  return visit.connect({ claims: { rooms: [room] }, query: { since } })
}

export const tokenRooms = section('Rooms of the token', [
  check('welcome names them, and a `joined` of each follows in that order, without an id', async (visit) => {
    const rooms = [visit.room('.b'), visit.room('.a'), visit.room('.c')]
    const client = await visit.connect({ claims: { rooms } })
    expectEqual(client.welcome.rooms, rooms, '`rooms` in welcome')
    for (const room of rooms)
      expectFields(await client.mail.next('joined'), { type: 'joined', room, id: undefined }, 'what follows')
    await client.expectNothing('behind them')
  }),
  check('what is sent meanwhile is carried out behind them', async (visit) => {
    const room = visit.room()
    const client = await visit.connect({ claims: { rooms: [room] } })
    client.send({ type: 'message', room, content: 1, id: 1 })
    expectFields(await client.mail.next('joined'), { type: 'joined', room }, 'the first')
    expectFields(await client.mail.next('ack'), { type: 'ack', id: 1 }, 'the second')
  }),
  check('one that `can` does not allow refuses the token', async (visit) => {
    const token = visit.target.token({ rooms: [visit.room()], can: { join: [] } })
    await visit.refusedUpgrade(401, 'unauthorized', `/ws?token=${token}`)
  }),
  check('`since` in the query recovers them', async (visit) => {
    const room = visit.room()
    const { epoch, offset } = positionIn(await (await visit.connect()).join(room))
    await visit.said(room, 3)
    const client = await comeBack(visit, room, sinceText([[room, epoch, offset]]))
    const joined = await client.mail.next('joined')
    expectFields(joined, { type: 'joined', room, recovered: true, missed: 3 }, 'joined')
    expectEqual(
      (await client.messages(3)).map(({ content }) => content),
      [1, 2, 3],
      'what was missed',
    )
  }),
  check('a `since` that cannot be read is a position that cannot be taken up', async (visit) => {
    const client = await comeBack(visit, visit.room(), 'x!')
    expectFields(await client.mail.next('joined'), { type: 'joined', recovered: false }, 'joined')
  }),
])
