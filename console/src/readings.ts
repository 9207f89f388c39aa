import type { Cluster } from './answers.ts'

/** A ping goes out every 25 seconds unless the server is set otherwise: each client has one in this time. */
const WINDOW_MS = 30_000
type NodeFigures = Cluster['cluster'][number]

/** What the charts show of one moment; undefined where there is nothing to tell yet. */
export interface Reading {
  clients: number
  published: number | undefined
  deliveries: number | undefined
  drops: number | undefined
  outboxBytes: number
  /** Of the pings of the last half minute: the half, and 99 of 100, came back within that. */
  roundTripMs: { half: number | undefined; most: number | undefined }
  loopHeldMs: number | undefined
}

/** Makes rates of what nodes have counted since their starts. */
export class Readings {
  readonly #past: { atMs: number; nodes: Map<string, NodeFigures> }[] = []

  take({ cluster, clients }: Cluster, atMs: number): Reading {
    const nodes = new Map(cluster.map((one) => [one.node, one]))
    const last = this.#past.at(-1)
    const rate = (name: 'published' | 'deliveries' | 'drops') => {
      if (last === undefined) return undefined
      let sum = 0
      // A node that was not there before has counted all along.
      for (const one of cluster) {
        const before = last.nodes.get(one.node)?.[name]
        if (before !== undefined) sum += Math.max(0, (one[name] ?? 0) - before)
      }
      return (sum * 1000) / Math.max(1, atMs - last.atMs)
    }
    const held = cluster.flatMap(({ loopHeldMs }) => loopHeldMs ?? [])
    const reading: Reading = {
      ...{ clients, published: rate('published'), deliveries: rate('deliveries'), drops: rate('drops') },
      outboxBytes: cluster.reduce((sum, one) => sum + (one.outboxBytes ?? 0), 0),
      roundTripMs: this.#roundTrips(cluster),
      loopHeldMs: held.length > 0 ? Math.max(...held) : undefined,
    }
    this.#past.push({ atMs, nodes })
    while ((this.#past[1]?.atMs ?? atMs) <= atMs - WINDOW_MS) this.#past.shift()
    return reading
  }

  #roundTrips(cluster: NodeFigures[]): Reading['roundTripMs'] {
    const since = this.#past[0]?.nodes
    const lately = summed(cluster, since)
    // Nothing came back lately: what did so ever.
    const { boundsMs, counts } = lately.counts.some((count) => count > 0) ? lately : summed(cluster)
    return { half: quantile(boundsMs, counts, 0.5), most: quantile(boundsMs, counts, 0.99) }
  }
}

/** Round trips of all nodes, without those that were counted before. */
function summed(cluster: NodeFigures[], before?: Map<string, NodeFigures>) {
  const boundsMs = cluster.find(({ roundTrips }) => roundTrips !== undefined)?.roundTrips?.boundsMs ?? []
  const counts: number[] = Array(boundsMs.length + 1).fill(0)
  for (const { node, roundTrips } of cluster) {
    if (String(roundTrips?.boundsMs) !== String(boundsMs)) continue
    const old = before?.get(node)?.roundTrips?.counts
    for (const [at, count] of roundTrips?.counts.entries() ?? [])
      counts[at] = (counts[at] ?? 0) + count - (old?.[at] ?? 0)
  }
  return { boundsMs, counts }
}

/** The value that `part` of all are below, as if they lay evenly between two bounds. */
export function quantile(bounds: number[], counts: number[], part: number): number | undefined {
  const total = counts.reduce((sum, count) => sum + count, 0)
  if (total <= 0) return undefined
  let left = total * part
  for (const [at, bound] of bounds.entries()) {
    const count = counts[at] ?? 0
    const low = bounds[at - 1] ?? 0
    if (count > 0 && left <= count) return low + ((bound - low) * left) / count
    left -= count
  }
  return bounds.at(-1)
}
