import { z } from 'zod'
import type { Clock } from '../clock.ts'
import type { ClusterStatus } from './bridge.ts'

/** A node that has not told of itself for this long is forgotten; nodes do so every second. */
const FORGOTTEN_MS = 10_000
/** This node's own announcement must come back within this time, or its subscriber is deaf. */
const DEAF_MS = 3000

const announcement = z.object({ node: z.string().min(1).max(64), clients: z.int().min(0) })

/** What the nodes tell each other of themselves. Nothing of it is stored, so nothing outlives a node. */
export class RedisNodes {
  readonly #clock: Clock
  readonly #others = new Map<string, { clients: number; heardAtMs: number }>()
  #echoAtMs = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  announcement(node: string, clients: number): string {
    return JSON.stringify({ node, clients } satisfies z.infer<typeof announcement>)
  }

  /** Takes in an announcement; false when it is none. */
  hear(bytes: Buffer, ownNode: string | undefined): boolean {
    const parsed = announcement.safeParse(parseJson(bytes))
    if (!parsed.success) return false
    const { node, clients } = parsed.data
    const now = this.#clock.steadyMs()
    if (node === ownNode) this.#echoAtMs = now
    else this.#others.set(node, { clients, heardAtMs: now })
    return true
  }

  /** From now on this node's announcements should come back. */
  expectEcho(): void {
    this.#echoAtMs = this.#clock.steadyMs()
  }

  get isDeaf(): boolean {
    return this.#clock.steadyMs() - this.#echoAtMs > DEAF_MS
  }

  count(ownClients: number): ClusterStatus {
    let clients = ownClients
    for (const other of this.#others.values()) clients += other.clients
    return { nodes: 1 + this.#others.size, clients }
  }

  sweep(): void {
    const now = this.#clock.steadyMs()
    for (const [node, { heardAtMs }] of this.#others) {
      if (now - heardAtMs > FORGOTTEN_MS) this.#others.delete(node)
    }
  }
}

function parseJson(bytes: Buffer): unknown {
  if (bytes.length > 256) return undefined
  try {
    return JSON.parse(bytes.toString())
  } catch {
    return undefined
  }
}
