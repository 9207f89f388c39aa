// Who is in a room, as nodes tell it and as it is put together.
import t from 'tap'
import type { Client } from '../../src/hub/client.ts'
import { ANSWER_CHARACTERS } from '../../src/hub/poll.ts'
import { membersOnNode, RoomMembers } from '../../src/hub/room-members.ts'
import type { Rooms } from '../../src/hub/rooms.ts'

/** A node with one room, with a client of each of these users. */
async function nodeWith(users: string[]) {
  const members = new Map(users.map((user) => [{ user } as Client, {}]))
  const rooms = { members: () => members } as unknown as Rooms
  // As it comes over the bridge.
  return membersOnNode.parse(JSON.parse(JSON.stringify(await RoomMembers.ofNode(rooms, 'r'))))
}

const users = (from: number, to: number) => Array.from({ length: to - from }, (_, n) => `user ${from + n}`)

t.test('users of several nodes are listed once, with their clients together', async (t) => {
  t.strictSame(RoomMembers.merged([await nodeWith(['a', 'a', 'b']), await nodeWith(['b', 'c'])]), {
    count: 3,
    users: [
      { user: 'a', clients: 2 },
      { user: 'b', clients: 2 },
      { user: 'c', clients: 1 },
    ],
    more: false,
  })
})

t.test('with more than are listed, the count is that of all, each once', async (t) => {
  const merged = RoomMembers.merged([
    await nodeWith(users(0, 3000)),
    await nodeWith(users(2000, 5000)),
    await nodeWith(['one']),
  ])
  t.match(merged, { count: 5001, more: true })
  t.equal(merged.users.length, 1000)
  const half = RoomMembers.merged([await nodeWith(users(0, 800)), await nodeWith(users(800, 1600))])
  t.match(half, { count: 1600, more: true }, 'also where no node has so many')
})

t.test('what has no digests is not counted: very many users, or a node of before', async (t) => {
  t.match(RoomMembers.merged([await nodeWith(users(0, 50_001)), await nodeWith(['one'])]), {
    count: undefined,
    more: true,
  })
  const before = { clients: 2000, users: [['a', 1]] as [string, number][], more: true }
  t.match(RoomMembers.merged([before, await nodeWith(['b'])]), { count: undefined, more: true })
})

t.test('an answer never grows too large to be told, whatever the names are', async (t) => {
  const names = Array.from({ length: 50_000 }, (_, n) => `${'\u0001'.repeat(250)}${n}`)
  const answer = await nodeWith(names)
  t.ok(JSON.stringify(answer).length <= ANSWER_CHARACTERS)
  t.ok(answer.users.length > 100)
  t.match(RoomMembers.merged([answer]), { count: 50_000, more: true })
})
