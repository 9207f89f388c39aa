import { check, section } from '../check.ts'
import { expectEqual, expectTrue } from '../expect.ts'
import { type Claims, nowS } from '../target.ts'
import type { Visit } from '../visit.ts'

/** A token with these claims is let in nowhere. */
async function refused(visit: Visit, claims: Claims): Promise<void> {
  const token = visit.target.token(claims)
  await visit.refusedUpgrade(401, 'unauthorized', `/ws?token=${token}`)
}

const claims = [
  check('`sub` is the user', async (visit) => {
    const { welcome } = await visit.connect({ sub: 'Ada Lovelace, ü' })
    expectEqual(welcome.user, 'Ada Lovelace, ü', '`user` in welcome')
  }),
  check('a `sub` above 256 characters is refused', (visit) => refused(visit, { sub: 'u'.repeat(257) })),
  check('a `sub` that is no text is refused', (visit) => refused(visit, { sub: 5 })),
  check('nobody can be `server`', (visit) => refused(visit, { sub: 'server' })),
  check('an `exp` in milliseconds is refused', (visit) => refused(visit, { exp: Date.now() + 3_600_000 })),
  check('a word in `can` that is none is refused', (visit) =>
    refused(visit, { can: { join: ['*'], fly: true } }),
  ),
  check('an `info` above 1 KiB is refused', (visit) => refused(visit, { info: 'x'.repeat(1100) })),
  check('an `info` of any JSON is let in', async (visit) => {
    await visit.connect({ claims: { info: { name: 'Ada', tags: [1, null, true] } } })
  }),
  check('the client is closed with 4401 at `exp`, as welcome has said', async (visit) => {
    const client = await visit.connect({ claims: { exp: nowS() + 2 } })
    const { expiresInMs } = client.welcome
    expectTrue(typeof expiresInMs === 'number', 'welcome has no expiresInMs')
    const begun = performance.now()
    await client.expectClosed(4401, expiresInMs + visit.target.timeoutMs)
    const early = expiresInMs - (performance.now() - begun)
    expectTrue(early < 250, `it was closed ${Math.round(early)} ms too early`)
  }),
]

const can = [
  check('`can.join` says which rooms may be joined', async (visit) => {
    const [open, shut] = [visit.room('.open'), visit.room('.shut')]
    const client = await visit.connect({ claims: { can: { join: [open] } } })
    await client.join(open)
    await client.refused({ type: 'join', room: shut }, 'forbidden')
  }),
  check('`*` stands for any run of characters, and all else is literal', async (visit) => {
    const room = visit.room()
    const client = await visit.connect({ claims: { can: { join: [`${room}.a*z`] } } })
    for (const end of ['.az', '.abcz', '.a*z']) await client.join(`${room}${end}`)
    for (const end of ['.a', '.azy', 'xaz', '.Az'])
      await client.refused({ type: 'join', room: `${room}${end}` }, 'forbidden')
  }),
  check("`$user` stands for the token's own sub", async (visit) => {
    const room = visit.room()
    const sub = visit.target.user()
    const client = await visit.connect({ sub, claims: { can: { join: [`${room}.$user`] } } })
    await client.join(`${room}.${sub}`)
    await client.refused({ type: 'join', room: `${room}.other` }, 'forbidden')
  }),
  check('what `can` does not name is not allowed', async (visit) => {
    const room = visit.room()
    const reader = await visit.connect({ claims: { can: { join: ['*'] } } })
    await reader.join(room)
    await reader.refused({ type: 'message', room, content: 1 }, 'forbidden')
    const nobody = await visit.connect({ claims: { can: {} } })
    await nobody.refused({ type: 'join', room }, 'forbidden')
  }),
]

export const token = section('The token', [...claims, ...can])
