import type { PresenceRule } from '../rules/room-rules.ts'
import type { GossipMessage } from './gossip-message.ts'

/** Nodes of a room; what claims to be one beyond it is passed over. */
const PEERS = 1000

type All = GossipMessage & { kind: 'all' }
type Users = All['users']

/** Another node in a room: up to where this one knows what it has told. */
export class Peer {
  life = -1
  seq = -1
  /** Of the newest list: two with the same number of changes need not be the same. */
  list = -1
  /** The beat since which it owes all that it has; undefined while nothing is missing. */
  doubtedAt: number | undefined
  /** The newest that it is known to have told. */
  #seenLife = -1
  #seenSeq = -1
  /** The parts of a list that is not whole yet. */
  #list: { list: number; parts: (Users | undefined)[]; missing: number } | undefined

  /** Whether it has told more than is known here. */
  get isBehind(): boolean {
    return this.life !== this.#seenLife || this.seq < this.#seenSeq
  }

  /** It has told something with this number; false for what is old. */
  sees(life: number, seq: number): boolean {
    if (life < this.life || (life === this.life && seq < this.seq)) return false
    if (life > this.#seenLife) {
      this.#seenLife = life
      this.#seenSeq = seq
    } else if (life === this.#seenLife && seq > this.#seenSeq) {
      this.#seenSeq = seq
    }
    return true
  }

  /** Takes a part of a list; returns all of it once it is whole, and newer than the last. */
  collect({ list, index, parts, users }: All): Users | undefined {
    if (list <= this.list) return undefined
    if (parts === 1) return users
    if (this.#list?.list !== list) {
      if (this.#list !== undefined && this.#list.list > list) return undefined
      this.#list = { list, parts: new Array(parts), missing: parts }
    }
    const collected = this.#list
    if (index >= collected.parts.length || collected.parts[index] !== undefined) return undefined
    collected.parts[index] = users
    if (--collected.missing > 0) return undefined
    this.#list = undefined
    return collected.parts.flatMap((part) => part ?? [])
  }
}

/** Waits for the answers of all who were asked. */
class Asking {
  readonly #answered = new Set<string>()
  #wanted = Infinity
  #wake: (() => void) | undefined

  hasAnswered(node: string): void {
    this.#answered.add(node)
    if (this.#answered.size >= this.#wanted) this.#wake?.()
  }

  /** Resolves when so many have answered, or when the time is over that `begin` starts and returns the end of. */
  answeredBy(wanted: number, begin: (end: () => void) => () => void): Promise<void> {
    this.#wanted = wanted
    if (this.#answered.size >= wanted) return Promise.resolve()
    return new Promise((resolve) => {
      const cancel = begin(resolve)
      this.#wake = () => {
        cancel()
        resolve()
      }
    })
  }

  end(): void {
    this.#wake?.()
  }
}

/** A room in which this node has users, or members, and what the other nodes have told of it. */
export class GossipRoom {
  readonly name: string
  readonly rule: PresenceRule
  /** Numbers this node's openings of rooms: what is told in one is void in the next. */
  readonly life: number
  readonly peers = new Map<string, Peer>()
  /** Of the last message with changes. */
  seq = 0
  /** Messages on their way. */
  flights = 0
  /** Whether something could not be told, so that all must be. */
  isUntold = false
  answeredAtMs = -Infinity
  asking: Asking | undefined
  cancelRetry: (() => void) | undefined
  cancelAnswer: (() => void) | undefined

  constructor(name: string, rule: PresenceRule, life: number) {
    this.name = name
    this.rule = rule
    this.life = life
  }

  /** Undefined for one too many. */
  peerOf(node: string): Peer | undefined {
    let peer = this.peers.get(node)
    if (peer === undefined && this.peers.size < PEERS) {
      peer = new Peer()
      this.peers.set(node, peer)
    }
    return peer
  }

  beginAsking(): Asking {
    this.asking?.end()
    this.asking = new Asking()
    return this.asking
  }

  end(): void {
    this.cancelRetry?.()
    this.cancelAnswer?.()
    this.asking?.end()
    this.peers.clear()
  }
}
