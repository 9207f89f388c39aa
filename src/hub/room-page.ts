import { createHash } from 'node:crypto'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { z } from 'zod'
import type { Rooms } from './rooms.ts'
import { each } from './sliced.ts'

/** Which rooms are asked for: those whose names begin with `prefix`, the first `limit` behind `after`. */
export const roomsAsked = z.object({
  prefix: z.string().max(128),
  after: z.string().max(128),
  limit: z.int().min(1).max(1000),
})
/** A node's rooms of a page: name, members there, and who they are by short digests of their users' names. */
export const roomsOnNode = z.object({
  rooms: z.array(z.tuple([z.string(), z.int().min(1), z.string().nullable()])),
  more: z.boolean(),
})

/** A room with its members over all nodes; `users` is undefined where they are too many to be counted once each. */
export interface RoomCounts {
  room: string
  members: number
  users: number | undefined
}

/** Six bytes of SHA-256: of 50,000 users two would be taken for one once in 200,000 times. */
const DIGEST_CHARS = 8
/** So many users' digests are told in one page by one node; about half of what an answer may have. */
export const USERS_TOLD = 50_000
/** Digests of one turn of the loop: some 6 ms of them. */
const DIGESTS_A_TURN = 4000

/** Pages of rooms, each node's and all together. */
export const RoomPage = {
  /** This node's first rooms, in the order of their names. */
  async ofNode(rooms: Rooms, { prefix, after, limit }: z.infer<typeof roomsAsked>) {
    const first = new Smallest(limit + 1)
    await each(rooms.names(), (name) => {
      if (name > after && name.startsWith(prefix)) first.add(name)
    })
    const digests = new Digests()
    let left = USERS_TOLD
    const page: [string, number, string | null][] = []
    for (const name of first.names.slice(0, limit)) {
      const members = rooms.members(name)
      const { size } = members
      if (size === 0) continue
      const users = new Set<string>()
      for (const { user } of members.keys()) if (users.size <= left) users.add(user)
      const isTold = users.size <= left
      if (isTold) left -= users.size
      page.push([name, size, isTold ? await digests.of(users) : null])
    }
    return { rooms: page, more: first.names.length > limit }
  },

  /** The first `limit` of all nodes' rooms: whatever is among them is among each node's own first. */
  merged(answers: readonly z.infer<typeof roomsOnNode>[], limit: number) {
    const byName = new Map<string, { members: number; users: Set<string> | undefined }>()
    for (const [name, members, digests] of answers.flatMap(({ rooms }) => rooms)) {
      const known = byName.get(name) ?? { members: 0, users: new Set<string>() }
      known.members += members
      if (digests === null) known.users = undefined
      else for (const one of digestsIn(digests)) known.users?.add(one)
      byName.set(name, known)
    }
    const names = [...byName.keys()].sort(byCodeUnits)
    const rooms = names.slice(0, limit).map((room): RoomCounts => {
      const { members = 0, users } = byName.get(room) ?? {}
      return { room, members, users: users?.size }
    })
    return { rooms, more: names.length > limit || answers.some(({ more }) => more) }
  },
}

const eachDigest = new RegExp(`.{${DIGEST_CHARS}}`, 'g')

export function digestsIn(digests: string): string[] {
  return digests.match(eachDigest) ?? []
}

/** The digests of one answer. */
export class Digests {
  #made = 0

  /** Of all of them, joined; the loop has its turn meanwhile. */
  async of(users: Iterable<string>): Promise<string> {
    let joined = ''
    for (const user of users) {
      joined += digest(user)
      if (++this.#made % DIGESTS_A_TURN === 0) await nextTurn()
    }
    return joined
  }
}

/** A user's name in short, for counting. */
export function digest(user: string): string {
  return createHash('sha256').update(user).digest('base64url').slice(0, DIGEST_CHARS)
}

const byCodeUnits = (one: string, other: string) => (one < other ? -1 : one > other ? 1 : 0)

/** The first `limit` names of many, in their order. */
class Smallest {
  readonly #limit: number
  readonly #names: string[] = []

  constructor(limit: number) {
    this.#limit = limit
  }

  get names(): string[] {
    this.#cut()
    return this.#names
  }

  add(name: string): void {
    this.#names.push(name)
    if (this.#names.length > 4 * this.#limit + 1000) this.#cut()
  }

  #cut(): void {
    this.#names.sort(byCodeUnits)
    this.#names.length = Math.min(this.#names.length, this.#limit)
  }
}
