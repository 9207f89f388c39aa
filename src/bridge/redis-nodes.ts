import { z } from 'zod'
import { BoundedMap } from '../bounded-map.ts'
import type { Clock } from '../clock.ts'
import type { ClusterStatus } from './bridge.ts'
import { PAYLOAD_VERSION } from './redis-payload.ts'

/** A node that has not told of itself for this long is forgotten; nodes do so every second. */
const FORGOTTEN_MS = 10_000
/** Whoever may publish in Redis may pretend to be nodes. */
const NODES = 10_000
/** Each version understands the one before it, and is understood by the one after it. One that names none is of version 2. */
const VERSION = Number(PAYLOAD_VERSION)
const SILENT_VERSION = 2

const announcement = z.object({
  node: z.string().min(1).max(64),
  clients: z.int().min(0),
  version: z.int().min(1).default(SILENT_VERSION),
})

/** What the nodes tell each other of themselves. Nothing of it is stored, so nothing outlives a node. */
export class RedisNodes {
  readonly #clock: Clock
  readonly #others = new BoundedMap<string, { clients: number; version: number; heardAtMs: number }>(NODES)

  constructor(clock: Clock) {
    this.#clock = clock
  }

  announcement(node: string, clients: number): string {
    return JSON.stringify({ node, clients, version: VERSION } satisfies z.infer<typeof announcement>)
  }

  /** Takes in an announcement; returns whose it is, undefined for what is none. */
  hear(bytes: Buffer): string | undefined {
    const parsed = announcement.safeParse(parseJson(bytes))
    if (!parsed.success) return undefined
    const { node, clients, version } = parsed.data
    this.#others.set(node, { clients, version, heardAtMs: this.#clock.steadyMs() })
    return node
  }

  /** `ownNode` is counted by its own figure. */
  count(ownNode: string, ownClients: number): ClusterStatus {
    const status = { nodes: 1, clients: ownClients }
    let foreignNodes = 0
    for (const [node, { clients, version }] of this.#others) {
      if (node === ownNode) continue
      if (Math.abs(version - VERSION) > 1) foreignNodes++
      else {
        status.nodes++
        status.clients += clients
      }
    }
    return foreignNodes === 0 ? status : { ...status, foreignNodes }
  }

  /** Those that understand this one. */
  others(ownNode: string): string[] {
    return [...this.#others]
      .filter(([node, { version }]) => node !== ownNode && Math.abs(version - VERSION) <= 1)
      .map(([node]) => node)
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
