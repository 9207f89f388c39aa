import { createHash } from 'node:crypto'

/**
 * The names of everything that roomcast has in Redis. What belongs to one room has the room in braces, so that Redis
 * Cluster keeps it in one slot. A room's name is encoded, so it can be no other name, no pattern and no second brace.
 */
export class RedisKeys {
  readonly #prefix: string

  constructor(prefix: string) {
    this.#prefix = prefix
  }

  /** The channel of a room, or of everybody when `room` is undefined. */
  channel(room: string | undefined): string {
    return room === undefined ? `${this.#prefix}everybody:{*}` : `${this.#prefix}room:${tag(room)}`
  }

  /** The channel on which nodes tell of themselves. */
  get nodesChannel(): string {
    return `${this.#prefix}nodes:{nodes}`
  }

  /** Written at each heartbeat, so that a server that takes no writes is noticed. */
  get heartbeat(): string {
    return `${this.#prefix}heartbeat:{nodes}`
  }

  /** The list of a room's newest messages. */
  messages(room: string): string {
    return `${this.#prefix}messages:${tag(room)}`
  }

  /** The hash with a room's epoch and offset. */
  position(room: string): string {
    return `${this.#prefix}position:${tag(room)}`
  }

  /** The mark of an idempotent publish. User and key are hashed: they may be of any length and characters. */
  once(room: string | undefined, user: string, key: string): string {
    const digest = createHash('sha256')
      .update(JSON.stringify([user, key]))
      .digest('base64url')
    const scope = room === undefined ? 'everybody:{*}' : `room:${tag(room)}`
    return `${this.#prefix}once:${scope}:${digest}`
  }
}

/** Encoded, a name has no braces, colons or white space. */
function tag(room: string): string {
  return `{${encodeURIComponent(room)}}`
}
