import { check, section } from '../check.ts'
import { expectEqual, expectFields } from '../expect.ts'
import type { Envelope } from '../mailbox.ts'
import { positionIn } from '../visit.ts'

export const ping = section('ping', [
  check('is answered with `pong` and the id', async (visit) => {
    const client = await visit.connect()
    expectFields(await client.ask({ type: 'ping' }), { type: 'pong' }, 'the answer')
    await client.expectNothing('behind the pong')
  }),
  check('is answered without an id as well', async (visit) => {
    const client = await visit.connect()
    client.send({ type: 'ping' })
    expectFields(await client.mail.next('a pong'), { type: 'pong', id: undefined }, 'the answer')
  }),
  check('what was sent to the client before is ahead of the pong', async (visit) => {
    const room = visit.room()
    await visit.said(room, 2)
    const client = await visit.connect()
    client.send({ type: 'join', room, last: 2, id: 1 })
    client.send({ type: 'ping', id: 2 })
    const got = await client.mail.upTo('the pong', ({ type }) => type === 'pong')
    positionIn(got[0] as Envelope)
    expectEqual(
      got.map(({ type }) => type),
      ['joined', 'message', 'message', 'pong'],
      'what came',
    )
  }),
])
