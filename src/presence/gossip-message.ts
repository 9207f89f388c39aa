import { z } from 'zod'
import type { Present } from './presence.ts'

/** Of another version nothing is understood. */
const VERSION = 1
/** A message is never larger, and takes no more users once it has half of that. */
export const MESSAGE_MAX_BYTES = 128 * 1024
const FULL_BYTES = MESSAGE_MAX_BYTES / 2
const USERS_A_MESSAGE = 1000
/** What a character may take, and what a user takes beside them. */
const CHARACTER_BYTES = 6
const USER_BYTES = 32

const isJson = (text: string) => {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
const user = z.string().min(1).max(256)
const count = z.int().min(0)
const listed = z.tuple([user, count, z.string().max(1024).refine(isJson).optional()])
const base = {
  v: z.literal(VERSION),
  node: z.string().min(1).max(64),
  /** The node's number of this opening of the room. */
  life: count,
}
const users = z.array(listed).max(USERS_A_MESSAGE)
const message = z.discriminatedUnion('kind', [
  /** Changes; `seq` grows by one a message. */
  z.object({ ...base, kind: z.literal('some'), seq: count, users }),
  /** Part `index` of `parts` of all users, with the changes up to `seq`; `asks` for those of the other nodes. */
  z.object({
    ...base,
    kind: z.literal('all'),
    seq: count,
    list: count,
    index: count,
    parts: z.int().min(1).max(1000),
    users,
    asks: z.boolean().optional(),
  }),
  /** Asks one node, or all, for all users. */
  z.object({ ...base, kind: z.literal('ask'), of: z.string().max(64).optional() }),
  /** The node leaves the room; its users may come back elsewhere if it `ends`. */
  z.object({ ...base, kind: z.literal('bye'), ends: z.boolean().optional() }),
])

/** What nodes tell each other of a room. */
export type GossipMessage = z.infer<typeof message>
type Unversioned<Message> = Message extends GossipMessage ? Omit<Message, 'v'> : never

export function encodeGossip(message: Unversioned<GossipMessage>): string {
  return JSON.stringify({ v: VERSION, ...message })
}

/** Undefined for what no node of this version has told. */
export function decodeGossip(bytes: Buffer | string): GossipMessage | undefined {
  if (bytes.length > MESSAGE_MAX_BYTES) return undefined
  try {
    return message.safeParse(JSON.parse(String(bytes))).data
  } catch {
    return undefined
  }
}

export function listOf(users: readonly Present[]): z.infer<typeof listed>[] {
  return users.map(({ user, clients, info }) =>
    info === undefined ? [user, clients] : [user, clients, info],
  )
}

export function usersOf(list: z.infer<typeof listed>[]): Present[] {
  return list.map(([user, clients, info]) => ({ user, clients, info }))
}

/** Cuts users into what fits into one message each; one part, which may be empty, in any case. */
export function partsOf(users: Iterable<Present>): Present[][] {
  const parts: Present[][] = [[]]
  let bytes = 0
  for (const one of users) {
    let part = parts.at(-1) as Present[]
    if (part.length === USERS_A_MESSAGE || bytes > FULL_BYTES) {
      part = []
      parts.push(part)
      bytes = 0
    }
    part.push(one)
    bytes += USER_BYTES + CHARACTER_BYTES * (one.user.length + (one.info?.length ?? 0))
  }
  return parts
}
