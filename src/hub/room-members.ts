import { z } from 'zod'
import { isRoomName } from '../protocol/envelope.ts'
import { fitting } from './fitting.ts'
import { Digests, digest, digestsIn, USERS_TOLD } from './room-page.ts'
import type { Rooms } from './rooms.ts'

/** Users of one room that one node tells of by their names, and that an answer has. */
const USERS_LISTED = 1000
/** So many characters of a node's answer are for their names; the digests have the rest. */
const LIST_CHARACTERS = 500_000

export const membersAsked = z.object({ room: z.string().refine(isRoomName) })
/** A node's clients in a room, and whose they are. */
export const membersOnNode = z.object({
  clients: z.int().min(0),
  users: z.array(z.tuple([z.string(), z.int().min(1)])),
  more: z.boolean(),
  /** Of all its users, where not all are listed and they are not too many to be counted once each. */
  digests: z.string().optional(),
})

/** A user in a room, with its clients there. */
export interface UserInRoom {
  user: string
  clients: number
}

/** Who is in a room, on each node and all together. */
export const RoomMembers = {
  async ofNode(rooms: Rooms, room: string): Promise<z.infer<typeof membersOnNode>> {
    const members = rooms.members(room)
    const byUser = new Map<string, number>()
    for (const { user } of members.keys()) byUser.set(user, (byUser.get(user) ?? 0) + 1)
    const users = fitting([...byUser].slice(0, USERS_LISTED), LIST_CHARACTERS)
    const more = byUser.size > users.length
    const isCounted = more && byUser.size <= USERS_TOLD
    const counts = { clients: members.size, users, more }
    return isCounted ? { ...counts, digests: await new Digests().of(byUser.keys()) } : counts
  },

  /** `count` is the number of users; undefined where they are too many to be counted once each. */
  merged(answers: readonly z.infer<typeof membersOnNode>[]) {
    const byUser = new Map<string, number>()
    for (const [user, clients] of answers.flatMap((one) => one.users))
      byUser.set(user, (byUser.get(user) ?? 0) + clients)
    const users = [...byUser].slice(0, USERS_LISTED).map(([user, clients]): UserInRoom => ({ user, clients }))
    const isCut = answers.some(({ more }) => more)
    const count = isCut ? counted(answers) : byUser.size
    return { count, users, more: isCut || byUser.size > users.length }
  },
}

function counted(answers: readonly z.infer<typeof membersOnNode>[]): number | undefined {
  const all = new Set<string>()
  for (const { users, more, digests } of answers) {
    if (more && digests === undefined) return undefined
    for (const one of more ? digestsIn(digests ?? '') : users.map(([user]) => digest(user))) all.add(one)
  }
  return all.size
}
