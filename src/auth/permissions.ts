import { z } from 'zod'
import { ROOM_NAME_MAX_BYTES } from '../protocol/envelope.ts'

/** The name of a user. */
export const userName = z.string().min(1).max(256)
/** Under this name the app that embeds roomcast publishes unless it says otherwise; no token may bear it. */
export const APP_USER = 'server'

/** What a token's claim `can` may say; room patterns, `*` for any run of characters and `$user` for the token's sub. */
export const canClaim = z.strictObject({
  join: z.array(z.string().max(256)).max(256).optional(),
  publish: z.array(z.string().max(256)).max(256).optional(),
  broadcast: z.boolean().optional(),
  admin: z.boolean().optional(),
})
export type Can = z.infer<typeof canClaim>

/** What one token may do. What `can` does not name is not allowed. */
export class Permissions {
  readonly broadcast: boolean
  readonly admin: boolean
  readonly #join: RoomPattern[]
  readonly #publish: RoomPattern[]
  readonly #isShared: boolean

  /** `user` is undefined for a client without a name; `isShared` when many identities have this one object. */
  constructor(can: Can, user: string | undefined, isShared = false) {
    this.#isShared = isShared
    this.broadcast = can.broadcast ?? false
    this.admin = can.admin ?? false
    this.#join = patternsOf(can.join, user)
    this.#publish = patternsOf(can.publish, user)
  }

  /** What they take of memory, about; nothing where they are shared. */
  get bytes(): number {
    if (this.#isShared) return 0
    let bytes = 0
    for (const pattern of this.#join) bytes += pattern.bytes
    for (const pattern of this.#publish) bytes += pattern.bytes
    return bytes
  }

  canJoin(room: string): boolean {
    return this.#join.some((pattern) => pattern.matches(room))
  }

  canPublish(room: string): boolean {
    return this.#publish.some((pattern) => pattern.matches(room))
  }
}

/** Who a token says the client is, and what it may do. */
export interface Identity {
  user: string
  /** Its token has no `sub`: others who are somebody else have the same `user`. */
  isNameless?: boolean
  permissions: Permissions
  /** Unix time in milliseconds; Infinity for a token without an end. */
  expiresAt: number
  /** The user's public data: JSON text, of INFO_MAX_BYTES at most. */
  info?: string
  /** Joined at connect, each once; the permissions allow them. */
  rooms?: readonly string[]
  /** The token's own name, by which it may be revoked. */
  jti?: string
  /** Unix time in milliseconds. */
  issuedAtMs?: number
  /** What of it the connect hook has put in place of the token's; a refreshed token does not undo that. */
  changed?: { permissions?: Permissions; info?: string }
}

/** What a token's claim `info` may take as JSON text. */
export const INFO_MAX_BYTES = 1024

/** What an identity takes of memory, about, with all that only it has. */
export function identityBytes({ user, permissions, info = '', rooms = [], jti = '' }: Identity): number {
  let bytes = permissions.bytes + 2 * (user.length + info.length + jti.length)
  for (const room of rooms) bytes += ROOM_BYTES + 2 * room.length
  return bytes
}
const ROOM_BYTES = 32

/**
 * The patterns that can match a room at all: what is written out for a long user a hundred times is not kept, nor what
 * names the user where there is none, since strangers would share that room.
 */
function patternsOf(patterns: string[] = [], user: string | undefined): RoomPattern[] {
  return patterns
    .filter((pattern) => user !== undefined || !pattern.includes('$user'))
    .map((pattern) => new RoomPattern(pattern, user ?? ''))
    .filter(({ characters }) => characters <= ROOM_NAME_MAX_BYTES)
}

/** One room pattern. Matching takes linear time whatever the pattern, so a token cannot slow the server. */
export class RoomPattern {
  /** The literal parts between the stars; of several stars in a row, one counts. */
  readonly #parts: string[]

  constructor(pattern: string, user: string) {
    // Split first: a `*` or `$user` within the user's own name is literal.
    this.#parts = pattern.split(/\*+/).map((part) => part.split('$user').join(user))
  }

  /** The literal ones; a room has at least as many. */
  get characters(): number {
    let characters = 0
    for (const part of this.#parts) characters += part.length
    return characters
  }

  /** What it takes of memory, about. */
  get bytes(): number {
    return PATTERN_BYTES + PART_BYTES * this.#parts.length + 2 * this.characters
  }

  matches(room: string): boolean {
    const [first = '', ...rest] = this.#parts
    const last = rest.pop()
    if (last === undefined) return room === first
    if (room.length < first.length + last.length) return false
    if (!room.startsWith(first) || !room.endsWith(last)) return false
    const end = room.length - last.length
    let at = first.length
    for (const part of rest) {
      const found = room.indexOf(part, at)
      if (found < 0 || found + part.length > end) return false
      at = found + part.length
    }
    return at <= end
  }
}

/** Beside their characters. */
const PATTERN_BYTES = 100
const PART_BYTES = 32

/** Makes the permissions of users whose token has no `can`; one object serves them all where no pattern names the user. */
export function defaultPermissions(can: Can): (user: string | undefined) => Permissions {
  const namesUser = [...(can.join ?? []), ...(can.publish ?? [])].some((pattern) => pattern.includes('$user'))
  if (namesUser) return (user) => new Permissions(can, user)
  const shared = new Permissions(can, '', true)
  return () => shared
}
