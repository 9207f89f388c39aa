// Which of a room's changes one node tells its watch; what nodes make of it together is in test/redis/presence.test.ts.
import t from 'tap'
import { systemClock } from '../../src/clock.ts'
import { PresenceNews } from '../../src/hub/presence-news.ts'
import { PresentUser } from '../../src/hub/present-user.ts'
import { RoomPresence } from '../../src/hub/room-presence.ts'
import { MemoryPresence } from '../../src/presence/memory-presence.ts'

function recorder() {
  const told: string[] = []
  const watch = {
    entered: (_node: string, room: string, user: string) => told.push(`entered ${room} ${user}`),
    left: (_node: string, room: string, user: string) => told.push(`left ${room} ${user}`),
    occupied: (_node: string, room: string) => told.push(`occupied ${room}`),
    vacated: (_node: string, room: string) => told.push(`vacated ${room}`),
  }
  return { watch, told: () => told.splice(0) }
}

/** A node's view of the room r; each change is told at once. */
function viewOf(node: string) {
  const { watch, told } = recorder()
  const news = new PresenceNews('r', node, watch)
  const users = new Map<string, PresentUser>()
  const change = (user: string, act: (one: PresentUser) => unknown) => {
    const one = users.get(user) ?? new PresentUser(user)
    users.set(user, one)
    act(one)
    news.add(one)
    if (!one.isThere) users.delete(user)
  }
  return {
    told,
    comes: (user: string) =>
      change(user, (one) => {
        one.here = { clients: 1, info: undefined }
      }),
    goes: (user: string) =>
      change(user, (one) => {
        one.here = undefined
        one.wentFrom = 'here'
      }),
    hears: (other: string, user: string, clients: number) =>
      change(user, (one) => one.setElsewhere(other, clients, undefined)),
    loses: (other: string, user: string) =>
      change(user, (one) => {
        if (one.setElsewhere(other, 0, undefined)) one.wentFrom ??= 'a node that is gone'
      }),
    tells: () => {
      news.tell(users.values())
      return told()
    },
  }
}

t.test('the node that a user comes to and leaves last tells, and the others do not', async (t) => {
  const [a, b] = [viewOf('a'), viewOf('b')]
  a.comes('ada')
  t.strictSame(a.tells(), ['occupied r', 'entered r ada'])
  b.hears('a', 'ada', 1)
  t.strictSame(b.tells(), [])
  b.comes('ada')
  b.comes('bob')
  t.strictSame(b.tells(), ['entered r bob'], 'ada was there already')
  a.hears('b', 'ada', 1)
  a.hears('b', 'bob', 1)
  t.strictSame(a.tells(), [])
  a.goes('ada')
  t.strictSame(a.tells(), [], 'she still is')
  b.hears('a', 'ada', 0)
  t.strictSame(b.tells(), [])
  b.goes('ada')
  t.strictSame(b.tells(), ['left r ada'])
  a.hears('b', 'ada', 0)
  t.strictSame(a.tells(), [])
  b.goes('bob')
  t.strictSame(b.tells(), ['left r bob', 'vacated r'])
  a.hears('b', 'bob', 0)
  t.strictSame(a.tells(), [])
})

t.test('users of a node that is gone are told of by the first of those that have users there', async (t) => {
  const [b, c] = [viewOf('b'), viewOf('c')]
  for (const [view, other] of [
    [b, 'c'],
    [c, 'b'],
  ] as const) {
    view.comes(`user of ${other === 'c' ? 'b' : 'c'}`)
    view.hears(other, `user of ${other}`, 1)
    for (const user of ['ada', 'eve']) view.hears('a', user, 1)
    view.tells()
  }
  for (const view of [b, c]) for (const user of ['ada', 'eve']) view.loses('a', user)
  t.strictSame(b.tells(), ['left r ada', 'left r eve'])
  t.strictSame(c.tells(), [])
  b.comes('ada')
  t.strictSame(b.tells(), ['entered r ada'])
})

t.test('who comes and goes between two tellings is not told of, and who comes back stays', async (t) => {
  const a = viewOf('a')
  a.comes('ada')
  a.goes('ada')
  t.strictSame(a.tells(), [])
  a.comes('bob')
  a.tells()
  a.goes('bob')
  a.comes('bob')
  t.strictSame(a.tells(), [], 'nothing is new')
})

t.test('a room tells of its last user, too, although nobody is there to be told otherwise', async (t) => {
  const { watch, told } = recorder()
  const presence = new MemoryPresence()
  const timers = { after: () => () => {} }
  const rule = { lingerMs: 0, listMax: 10, intervalMs: 100 }
  const options = { node: 'n', rule, presence, clock: systemClock, timers, watch, onEmpty: () => room.end() }
  const room: RoomPresence = new RoomPresence('r', options)
  const client = { user: 'ada', info: undefined, notify() {}, endIfExpired() {} }
  room.enter(client)
  room.text(undefined)
  t.strictSame(told(), ['occupied r', 'entered r ada'])
  room.leave(client)
  t.strictSame(told(), ['left r ada', 'vacated r'])
})
