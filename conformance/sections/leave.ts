import { check, section } from '../check.ts'
import { expectFields } from '../expect.ts'

export const leave = section('leave', [
  check('is answered with one `left`, without a reason', async (visit) => {
    const room = visit.room()
    const client = await visit.member(room)
    expectFields(await client.leave(room), { type: 'left', room, reason: undefined }, 'left')
    await client.expectNothing('behind left')
  }),
  check('no message of the room follows `left`', async (visit) => {
    const [room, other] = [visit.room(), visit.room()]
    const client = await visit.member(room)
    await client.leave(room)
    await visit.said(room, 3)
    // A later answer of the server, behind whatever it may have sent of them.
    await client.join(other)
    await client.expectNothing('behind left')
  }),
  check('who has left may not publish there', async (visit) => {
    const room = visit.room()
    const client = await visit.member(room)
    await client.leave(room)
    await client.refused({ type: 'message', room, content: 1 }, 'not_member')
  }),
  check('to leave a room that one is not in is answered with `left`', async (visit) => {
    const room = visit.room()
    expectFields(await (await visit.connect()).leave(room), { type: 'left', room }, 'the answer')
  }),
  check('who has left may join again', async (visit) => {
    const room = visit.room()
    const client = await visit.member(room)
    await client.leave(room)
    await client.join(room)
    await visit.said(room, 1)
    expectFields(await client.message(), { room, content: 1 }, 'the message')
  }),
])
