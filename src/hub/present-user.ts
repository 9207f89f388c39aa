import type { NamedUser } from '../protocol/presence-text.ts'

/** What a user takes in a list beside name and info, and what a character of the name may take. */
const LISTED_BYTES = 48
const JSON_BYTES = 6

/** A user's part in a room on one node. */
interface Part {
  clients: number
  info: string | undefined
}

/** A user in a room, by what this node and the others say, and by what members were told. */
export class PresentUser {
  readonly user: string
  /** On this node; clients are 0 for one whose last has left just now. */
  here: Part | undefined
  /** By node; undefined for the many users of one node. */
  #elsewhere: Map<string, Part> | undefined
  /** Whether members know of the user, and with what info. */
  isTold = false
  #toldInfo: string | undefined
  /** What the user takes in a list, as members were told. */
  toldBytes = 0
  /** Whether the room's watch knows of the user (PresenceNews). */
  isKnown = false
  /** Where the last client was, as far as this node has to tell of it. */
  wentFrom: 'here' | 'a node that is gone' | undefined

  constructor(user: string) {
    this.user = user
  }

  get isThere(): boolean {
    return this.here !== undefined || this.#elsewhere !== undefined
  }

  /** Clients that this node tells of; who may come back counts for one. */
  get clientsHere(): number {
    return this.here === undefined ? 0 : Math.max(1, this.here.clients)
  }

  /** On all nodes. */
  get clients(): number {
    let clients = this.clientsHere
    for (const part of this.#elsewhere?.values() ?? []) clients += part.clients
    return clients
  }

  /** What another node says; returns whether that is new. */
  setElsewhere(node: string, clients: number, info: string | undefined): boolean {
    const known = this.#elsewhere?.get(node)
    if (clients === 0) {
      if (known === undefined) return false
      this.#elsewhere?.delete(node)
      if (this.#elsewhere?.size === 0) this.#elsewhere = undefined
      return true
    }
    if (known?.clients === clients && known.info === info) return false
    this.#elsewhere ??= new Map()
    this.#elsewhere.set(node, { clients, info })
    return true
  }

  /** No other node has told of the user. */
  get isOnlyHere(): boolean {
    return this.here !== undefined && this.#elsewhere === undefined
  }

  /** No node whose id is lower than `node` has told of the user. */
  isAtNoneBelow(node: string): boolean {
    return [...(this.#elsewhere?.keys() ?? [])].every((other) => other > node)
  }

  isAt(node: string): boolean {
    return this.#elsewhere?.has(node) ?? false
  }

  /** The info that all nodes show: that of the node with the lowest id, of those that have one. */
  infoBy(ownNode: string): string | undefined {
    let info = this.here?.info
    if (this.#elsewhere === undefined) return info
    let from = info === undefined ? undefined : ownNode
    for (const [node, part] of this.#elsewhere) {
      if (part.info === undefined || (from !== undefined && from < node)) continue
      info = part.info
      from = node
    }
    return info
  }

  /** As members were told. */
  get named(): NamedUser {
    return { user: this.user, info: this.#toldInfo }
  }

  /** Members are told now; returns what there is to say, undefined for nothing. */
  tell(ownNode: string): 'entered' | 'left' | undefined {
    if (!this.isThere) {
      const wasTold = this.isTold
      this.isTold = false
      this.toldBytes = 0
      return wasTold ? 'left' : undefined
    }
    const info = this.infoBy(ownNode)
    if (this.isTold && info === this.#toldInfo) return undefined
    this.isTold = true
    this.#toldInfo = info
    this.toldBytes = LISTED_BYTES + JSON_BYTES * this.user.length + Buffer.byteLength(info ?? '')
    return 'entered'
  }
}
