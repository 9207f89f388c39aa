import { check, section } from '../check.ts'
import { expectFields, expectTrue, shown } from '../expect.ts'
import type { Envelope } from '../mailbox.ts'
import type { Session } from '../session.ts'
import { type Claims, nowS } from '../target.ts'
import type { Visit } from '../visit.ts'

async function refreshed(visit: Visit, client: Session, claims: Claims): Promise<Envelope> {
  const token = visit.target.token({ sub: client.welcome.user, ...claims })
  const answer = await client.ask({ type: 'refresh', token })
  expectTrue(answer.type === 'refreshed', `the answer is ${shown(answer)}`)
  return answer
}

export const refresh = section('refresh', [
  check('is answered with `refreshed` and the new end', async (visit) => {
    const client = await visit.connect()
    const { expiresAt, expiresInMs } = await refreshed(visit, client, { exp: nowS() + 7200 })
    const later = Number(expiresAt) - Number(client.welcome.expiresAt)
    expectTrue(Math.abs(later - 3_600_000) < 10_000, `the end moved by ${later} ms, not by an hour`)
    expectTrue(Number(expiresInMs) > 3_600_000, `expiresInMs is ${shown(expiresInMs)}`)
  }),
  check('another user’s token is unauthorized, and the old one goes on', async (visit) => {
    const client = await visit.connect()
    await client.refused({ type: 'refresh', token: visit.target.token() }, 'unauthorized')
    await client.join(visit.room())
  }),
  check('a token that does not verify is unauthorized, and the old one goes on', async (visit) => {
    const client = await visit.connect()
    const sub = client.welcome.user
    const wrong = [
      visit.target.token({ sub }, 'a secret that is not the one of the server'),
      visit.target.token({ sub, exp: nowS() - 7200 }),
      'abc',
    ]
    for (const token of wrong) await client.refused({ type: 'refresh', token }, 'unauthorized')
    await client.join(visit.room())
  }),
  check('a missing token is bad_envelope', async (visit) => {
    const client = await visit.connect()
    await client.refused({ type: 'refresh' }, 'bad_envelope')
    await client.refused({ type: 'refresh', token: 5 }, 'bad_envelope')
  }),
  check('the new permissions hold from `refreshed` on', async (visit) => {
    const [room, other] = [visit.room(), visit.room()]
    const client = await visit.member(room)
    await refreshed(visit, client, { can: { join: [room] } })
    await client.refused({ type: 'join', room: other }, 'forbidden')
    await client.refused({ type: 'message', room, content: 1 }, 'forbidden')
    await refreshed(visit, client, { can: { join: [room, other], publish: [room] } })
    await client.join(other)
    await client.publish(room, 1)
  }),
  check('rooms that it does not allow are left, right behind `refreshed`', async (visit) => {
    const [room, other] = [visit.room(), visit.room()]
    const client = await visit.member(room)
    await client.join(other)
    const token = visit.target.token({ sub: client.welcome.user, can: { join: [other], publish: ['*'] } })
    client.send({ type: 'refresh', token, id: 1 })
    expectFields(await client.mail.next('refreshed'), { type: 'refreshed', id: 1 }, 'the first')
    expectFields(await client.mail.next('left'), { type: 'left', room, reason: 'forbidden' }, 'the second')
    await visit.said(room, 1)
    await client.publish(other, 1)
    await client.expectNothing('of the room that was left')
  }),
  check('an earlier end holds', async (visit) => {
    const client = await visit.connect()
    const { expiresInMs } = await refreshed(visit, client, { exp: nowS() + 2 })
    await client.expectClosed(4401, Number(expiresInMs) + visit.target.timeoutMs)
  }),
  check('a later end holds: the client outlives its first token', async (visit) => {
    const client = await visit.connect({ claims: { exp: nowS() + 2 } })
    const other = await visit.connect({ claims: { exp: nowS() + 2 } })
    await refreshed(visit, client, { exp: nowS() + 3600 })
    await other.expectClosed(4401, Number(other.welcome.expiresInMs) + visit.target.timeoutMs)
    await client.expectNothing('of an end')
  }),
])
