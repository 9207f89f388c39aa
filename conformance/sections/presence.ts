import { check, Skip, section } from '../check.ts'
import { expectEqual, expectFields, expectTrue, shown } from '../expect.ts'
import type { Envelope } from '../mailbox.ts'
import type { Session } from '../session.ts'
import type { Visit } from '../visit.ts'

/** A leave is held back for the rule's lingerMs, 5 s unless it says otherwise. */
const LINGER_MS = 15_000

interface Listed {
  user: string
  info?: unknown
  clients?: number
}

/** A room whose rule has presence, with a member that is told of it and what it was told first. */
async function watched(visit: Visit) {
  const room = visit.room()
  const watcher = await visit.connect()
  await watcher.join(room, { presence: true })
  const answer = await watcher.ask({ type: 'presence', room })
  if (answer.code === 'unavailable')
    throw new Skip(`no rule has presence for rooms like ${room}; --rooms names others`)
  const first = await watcher.mail.find('a presence', ({ type, id }) => type === 'presence' && !id)
  return { room, watcher, answer, first, me: String(watcher.welcome.user) }
}

/** Waits until changes have told that the user has entered (or left). */
function told(
  watcher: Session,
  what: 'entered' | 'left',
  user: string,
  timeoutMs?: number,
): Promise<Envelope> {
  const names = (envelope: Envelope) =>
    ((envelope[what] ?? []) as (string | Listed)[]).map((one) => (typeof one === 'string' ? one : one.user))
  const isIt = (envelope: Envelope) => envelope.type === 'member' && names(envelope).includes(user)
  return watcher.mail.find(`a member with ${user} in ${what}`, isIt, timeoutMs)
}

async function usersIn(client: Session, room: string): Promise<Listed[]> {
  const presence = await client.ask({ type: 'presence', room })
  expectTrue(Array.isArray(presence.users), `there is no list in ${shown(presence)}`)
  const users = presence.users as Listed[]
  expectEqual(presence.count, users.length, '`count`')
  return users
}

export const presence = section('Presence', [
  check('the list has who is in the room, and `count` says how many', async (visit) => {
    const { answer, first, me } = await watched(visit)
    for (const one of [answer, first]) {
      expectFields(one, { type: 'presence', count: 1, more: undefined }, 'presence')
      expectFields((one.users as object[])[0] ?? {}, { user: me, clients: 1 }, 'the only user')
    }
  }),
  check('who enters is told of, with the public `info`', async (visit) => {
    const { room, watcher } = await watched(visit)
    const info = { name: 'Ada' }
    const other = await visit.member(room, { claims: { info } })
    const user = String(other.welcome.user)
    const member = await told(watcher, 'entered', user)
    expectFields(member, { room, count: 2 }, 'member')
    const users = await usersIn(watcher, room)
    expectFields(users.find((one) => one.user === user) ?? {}, { info, clients: 1 }, 'the user in the list')
  }),
  check('a user with two clients is one user', async (visit) => {
    const { room, watcher, me } = await watched(visit)
    await visit.member(room, { sub: me })
    const third = await visit.member(room)
    await told(watcher, 'entered', String(third.welcome.user))
    const users = await usersIn(watcher, room)
    expectEqual(users.length, 2, 'the number of users')
    expectFields(users.find(({ user }) => user === me) ?? {}, { clients: 2 }, 'the user of two clients')
  }),
  check('who leaves with the last client is told of', async (visit) => {
    const { room, watcher } = await watched(visit)
    const other = await visit.member(room)
    const user = String(other.welcome.user)
    await told(watcher, 'entered', user)
    await other.leave(room)
    const member = await told(watcher, 'left', user, LINGER_MS + visit.target.timeoutMs)
    expectFields(member, { room, count: 1 }, 'member')
  }),
  check('who did not ask for it is told nothing', async (visit) => {
    const { room, watcher } = await watched(visit)
    const quiet = await visit.member(room)
    const other = await visit.member(room)
    await told(watcher, 'entered', String(other.welcome.user))
    await quiet.expectNothing('without `presence` in join')
  }),
  check('is for members only', async (visit) => {
    const { room } = await watched(visit)
    await (await visit.connect()).refused({ type: 'presence', room }, 'not_member')
  }),
  check('without a rule for it, it is unavailable', async (visit) => {
    const room = visit.room()
    const client = await visit.member(room)
    const answer = await client.ask({ type: 'presence', room })
    if (answer.type === 'presence') throw new Skip('these rooms have presence')
    expectFields(answer, { type: 'error', code: 'unavailable' }, 'the answer')
  }),
])
