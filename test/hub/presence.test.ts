import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { MemoryBridge } from '../../src/bridge/memory-bridge.ts'
import { systemClock } from '../../src/clock.ts'
import { MemoryPresence } from '../../src/presence/memory-presence.ts'
import { turnEnd } from '../support/fake-socket.ts'
import { hubLimits, hubNode } from '../support/hub-node.ts'

const rule = { lingerMs: 40, listMax: 3, intervalMs: 20 }

function setUp(some: Partial<typeof rule> = {}) {
  const bridge = new MemoryBridge(hubLimits, systemClock)
  const { hub, connect } = hubNode(bridge, new MemoryPresence(), { ...rule, ...some })
  t.teardown(() => hub.close())
  return connect
}

t.test('a join with presence gets joined, what it missed, presence, and then what is live', async (t) => {
  const connect = setUp()
  const a = connect('ada', '{"name":"Ada","n":9007199254740993}')
  a.say({ type: 'join', room: 'p', presence: true })
  a.say({ type: 'message', room: 'p', content: 1, echo: true })
  await turnEnd()
  const [joined, presence, message] = a.got()
  t.match([joined?.type, message?.type], ['joined', 'message'])
  t.strictSame(presence, {
    type: 'presence',
    room: 'p',
    count: 1,
    // What JSON.parse makes of it.
    users: [{ user: 'ada', info: { name: 'Ada', n: 9007199254740992 }, clients: 1 }],
  })
  const b = connect('bob')
  b.say({ type: 'join', room: 'p', presence: true, since: { epoch: joined?.epoch, offset: 0 } })
  await turnEnd()
  // A member of its own entering may be there already, on a busy machine.
  t.strictSame(
    b
      .got()
      .map(({ type }) => type)
      .slice(0, 3),
    ['joined', 'message', 'presence'],
  )
  await a.hears(4)
  t.strictSame(a.got()[3], { type: 'member', room: 'p', count: 2, entered: [{ user: 'bob' }] })
  await b.hears(3)
  b.cut()
  await a.hears(5)
  t.strictSame(a.got()[4], { type: 'member', room: 'p', count: 1, left: ['bob'] })
})

t.test(
  'presence is asked for by members, in rooms whose rule has it; a room may be named __proto__',
  async (t) => {
    const connect = setUp()
    const a = connect('ada')
    a.say({ type: 'presence', room: '__proto__', id: 1 })
    a.say({ type: 'join', room: '__proto__' })
    a.say({ type: 'presence', room: '__proto__', id: 2 })
    a.say({ type: 'join', room: 'other', presence: true })
    a.say({ type: 'presence', room: 'other', id: 3 })
    a.say({ type: 'presence', room: '', id: 4 })
    await turnEnd()
    t.match(a.got(), [
      { type: 'error', code: 'not_member', id: 1 },
      { type: 'joined' },
      { type: 'presence', id: 2, count: 1, users: [{ user: 'ada', clients: 1 }] },
      { type: 'joined' },
      { type: 'error', code: 'unavailable', id: 3, room: 'other' },
      { type: 'error', code: 'bad_room', id: 4 },
    ])
  },
)

t.test('a second client, a reload and a second join are no news; only the last join counts', async (t) => {
  const connect = setUp({ lingerMs: 5000 })
  const a = connect('ada')
  const b = connect('bob')
  a.say({ type: 'join', room: 'p', presence: true })
  b.say({ type: 'join', room: 'p' })
  await a.hears(3)
  const second = connect('bob')
  second.say({ type: 'join', room: 'p' })
  b.say({ type: 'join', room: 'p' })
  await turnEnd()
  b.cut()
  second.cut()
  connect('bob').say({ type: 'join', room: 'p' })
  await sleep(60)
  t.strictSame(
    a.got().map(({ type }) => type),
    ['joined', 'presence', 'member'],
  )
  a.say({ type: 'presence', room: 'p', id: 1 })
  a.say({ type: 'join', room: 'p' })
  connect('eve').say({ type: 'join', room: 'p' })
  await sleep(60)
  t.strictSame(
    a
      .got()
      .slice(3)
      .map(({ type }) => type),
    ['presence', 'joined'],
  )
  t.match(a.got()[3], {
    users: [
      { user: 'ada', clients: 1 },
      { user: 'bob', clients: 1 },
    ],
  })
})

t.test(
  'above listMax there are numbers alone, and a list comes by itself when there is one again',
  async (t) => {
    const connect = setUp({ lingerMs: 0 })
    const a = connect('a')
    a.say({ type: 'join', room: 'p', presence: true })
    await turnEnd()
    const others = ['b', 'c', 'd', 'e'].map((user) => connect(user))
    for (const other of others) other.say({ type: 'join', room: 'p' })
    await a.hears(3)
    t.strictSame(a.got()[2], { type: 'member', room: 'p', count: 5 })
    a.say({ type: 'presence', room: 'p' })
    await turnEnd()
    t.match(a.got()[3], { count: 5, more: true })
    const listed = a.got()[3]?.users
    t.equal(Array.isArray(listed) && listed.length, 3)
    others[0]?.cut()
    await a.hears(5)
    t.strictSame(a.got()[4], { type: 'member', room: 'p', count: 4 })
    others[1]?.cut()
    await a.hears(6)
    t.match(a.got()[5], { type: 'presence', count: 3, users: [{ user: 'a' }, { user: 'd' }, { user: 'e' }] })
  },
)

t.test(
  'a member that asks for presence, and goes before the others have answered, leaves nothing behind',
  async (t) => {
    const wanted = new Set<string>()
    const bridge = new (class extends MemoryBridge {
      override subscribe(room?: string) {
        wanted.add(String(room))
        return super.subscribe()
      }
      override unsubscribe(room?: string) {
        wanted.delete(String(room))
      }
    })(hubLimits, systemClock)
    let answer = () => {}
    const presence = new (class extends MemoryPresence {
      override open() {
        return new Promise<void>((resolve) => {
          answer = resolve
        }) as never
      }
    })()
    const { hub, connect } = hubNode(bridge, presence, rule)
    t.teardown(() => hub.close())
    const a = connect('ada')
    a.say({ type: 'join', room: 'p' })
    a.say({ type: 'join', room: 'p', presence: true })
    await a.hears(1)
    a.cut()
    answer()
    await turnEnd()
    await turnEnd()
    t.equal(hub.rooms.size, 0)
    t.strictSame([...wanted], [])
  },
)
