import { check, section } from '../check.ts'
import { expectEqual, expectFields } from '../expect.ts'
import { api, BACKENDS, expectProblem, granted } from './api.ts'

/** An act has a body, even if nothing is in it. */
const ACT = { body: {} }

export const apiActing = section(
  'Acting',
  [
    check('a client is disconnected with 4403 and the reason', async (visit) => {
      const client = await visit.connect()
      const body = { reason: 'enough' }
      const done = await granted(visit, `/clients/${client.client}/disconnect`, { body })
      expectFields(done, { clients: 1 }, 'the answer')
      const { reason } = await client.expectClosed(4403)
      expectEqual(reason, 'enough', 'the reason')
    }),
    check('all clients of a user are disconnected, and nobody else', async (visit) => {
      const sub = visit.target.user()
      const clients = [await visit.connect({ sub }), await visit.connect({ sub })]
      const other = await visit.connect()
      expectFields(await granted(visit, `/users/${sub}/disconnect`, ACT), { clients: 2 }, 'the answer')
      for (const client of clients) await client.expectClosed(4403)
      await other.expectNothing('to another user')
    }),
    check('a user is removed from a room, with `left` and its reason', async (visit) => {
      const [room, sub] = [visit.room(), visit.target.user()]
      const client = await visit.member(room, { sub })
      const path = `/rooms/${room}/members/${sub}`
      expectFields(await granted(visit, path, { method: 'DELETE' }), { clients: 1 }, 'the answer')
      const left = await client.mail.next('left')
      expectFields(left, { type: 'left', room, reason: 'removed', id: undefined }, 'what came')
      await visit.said(room, 1)
      await client.join(room)
      await client.expectNothing('of a room it was removed from')
    }),
    check('a revoked token ends its client, and is refused from then on', async (visit) => {
      const jti = visit.room()
      const token = visit.target.token({ jti })
      const client = await visit.connect({ token })
      const body = { expiresAt: Date.now() + 60_000 }
      await granted(visit, `/tokens/${jti}/revoke`, { body })
      const { reason } = await client.expectClosed(4403)
      expectEqual(reason, 'revoked', 'the reason')
      await visit.refusedUpgrade(401, 'unauthorized', `/ws?token=${token}`)
    }),
    check('a reason that breaks its rule is 400', async (visit) => {
      const client = await visit.connect()
      const path = `/clients/${client.client}/disconnect`
      for (const reason of ['', 'ü', 'x'.repeat(124)])
        expectProblem(await api(visit, path, { body: { reason } }), 400, 'bad_request')
      await client.expectNothing('of a request that was refused')
    }),
  ],
  BACKENDS,
)
