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

  /** The channel on which nodes tell each other who is in a room; it has the room's slot. */
  presenceChannel(room: string): string {
    return `${this.#prefix}presence:${tag(room)}`
  }

  isPresence(channel: string): boolean {
    return channel.startsWith(`${this.#prefix}presence:`)
  }

  /** The channel on which nodes tell of themselves. */
  get nodesChannel(): string {
    return `${this.#prefix}nodes:{${NODES_TAG}}`
  }

  /** The channel on which one node is told something. */
  nodeChannel(node: string): string {
    return `${this.#prefix}node:${node}:{${NODES_TAG}}`
  }

  /** What all nodes must know until a time: the notes, their order of coming, and when each ends. */
  get notes(): [notes: string, order: string, ends: string] {
    return [
      `${this.#prefix}notes:{${NODES_TAG}}`,
      `${this.#prefix}notes:order:{${NODES_TAG}}`,
      `${this.#prefix}notes:ends:{${NODES_TAG}}`,
    ]
  }

  /** The channel on which a node hears itself through a Cluster's master, which has the slot of `tag`. */
  echoChannel(node: string, tag: string): string {
    return `${this.#prefix}echo:${node}:{${tag}}`
  }

  /** Written at each heartbeat, so that a server that takes no writes is noticed. */
  heartbeat(tag: string): string {
    return `${this.#prefix}heartbeat:{${tag}}`
  }

  /** Where a new connection tries what it may do; gone right after. */
  check(tag: string): string {
    return `${this.#prefix}check:{${tag}}`
  }

  /** The hash with the epoch of rooms in which nothing was said yet; on a Cluster one for each slot, named by `tag`. */
  beginnings(tag: string): string {
    return `${this.#prefix}position:beginnings:{${tag}}`
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
    const scope = room === undefined ? 'everybody:{*}' : `room:${tag(room)}`
    return `${this.#prefix}once:${scope}:${digest([user, key])}`
  }

  /** The same for the nodes among themselves, in 16 characters. */
  mark(room: string | undefined, user: string, key: string): string {
    return digest([room ?? null, user, key]).slice(0, MARK_CHARS)
  }
}

/** What nodes tell each other has one slot. */
export const NODES_TAG = 'nodes'
/** 96 bits. */
export const MARK_CHARS = 16

function digest(words: unknown[]): string {
  return createHash('sha256').update(JSON.stringify(words)).digest('base64url')
}

/** Encoded, a name has no braces, colons or white space. */
function tag(room: string): string {
  return `{${encodeURIComponent(room)}}`
}
