import { totalmem } from 'node:os'
import { getHeapStatistics } from 'node:v8'
import type { Distribution } from '../distribution.ts'
import type { Hub } from '../hub/hub.ts'
import type { Sums } from '../hub/sums.ts'
import { version } from '../version.ts'

/** What one metric shows at a scrape. Labels are of fixed sets: no client, user or room can add one. */
export interface Reading {
  name: string
  help: string
  type: 'counter' | 'gauge' | 'histogram'
  values: Value[]
  /** What several processes make of it; added up unless it says otherwise. */
  aggregator?: 'min' | 'max'
}
export interface Value {
  labels: Record<string, string>
  value: number
  metricName?: string
}

/** All that the hub has to show; `sums` were taken just before. */
export function readings(hub: Hub, sums: Sums): Reading[] {
  const { counters } = hub
  return [
    labelled('info', 'Which node and version this is', 'version', { [version]: 1 }, 'gauge', {
      node: hub.node,
    }),
    gauge('clients', 'Clients connected to this node', hub.size),
    gauge('users', 'Users of those clients; a user of several processes counts in each', sums.users),
    gauge('rooms', 'Rooms with members on this node', hub.rooms.size),
    gauge('memberships', 'Memberships of clients in rooms on this node', sums.memberships),
    gauge('outbox_bytes', 'Bytes that wait for clients whose sockets do not take them', sums.outboxBytes),
    gauge('draining', '1 while the node is shutting down', Number(hub.isDraining), 'max'),
    counter('connects_total', 'Upgrades that became clients', counters.connects),
    labelled('closes_total', 'Clients that ended, by cause', 'cause', counters.closes),
    labelled('upgrades_refused_total', 'Upgrades refused, by reason', 'reason', counters.refused),
    labelled('requests_total', 'Requests from clients, by type', 'type', counters.requests),
    labelled('errors_total', 'Requests answered with an error, by code', 'code', counters.errors),
    counter('frames_in_total', 'Text frames from clients', sums.messagesIn),
    counter('deliveries_total', 'Messages sent to clients', sums.messagesOut),
    counter('bytes_in_total', 'Bytes received from clients', sums.bytesIn),
    counter('bytes_out_total', 'Bytes sent to clients', sums.bytesOut),
    counter('published_total', 'Messages published through this node', counters.published),
    counter('published_node_only_total', 'Those that reached this node alone', counters.nodeScoped),
    counter('missed_total', 'Messages that never arrived here, as gaps in offsets show', counters.missed),
    counter('dropped_total', 'Messages dropped for slow clients', counters.drops),
    counter('rate_limited_total', 'Frames refused by the message rate', counters.rateLimited),
    labelled('recoveries_total', 'Joins with since, by result', 'result', counters.recoveries),
    inSeconds('ping_seconds', 'Round trips of WebSocket pings', [counters.roundTrips]),
    ...ofBridge(hub),
    ...limits(),
  ]
}

/** What nodejs_heap_size_used_bytes and process_resident_memory_bytes are to be measured by. */
function limits(): Reading[] {
  const { heap_size_limit } = getHeapStatistics()
  // Without a limit of its control group the kernel tells none, or more than there is.
  const group = process.constrainedMemory() || Number.POSITIVE_INFINITY
  return [
    gauge('heap_limit_bytes', 'Bytes of heap at which V8 gives up', heap_size_limit),
    gauge('memory_limit_bytes', 'Memory of the container or machine', Math.min(group, totalmem()), 'max'),
  ]
}

function ofBridge(hub: Hub): Reading[] {
  const { state, publisher, subscriber, masters } = hub.bridgeStatus
  const { cluster } = hub
  const links = masters ?? (publisher && subscriber ? [{ publisher, subscriber }] : [])
  const down = (name: 'publisher' | 'subscriber') =>
    links.filter((link) => link[name].state === 'down').length
  return [
    gauge('bridge_up', '1 when the bridge reaches the other nodes', Number(state === 'up'), 'min'),
    ...(cluster === undefined
      ? []
      : [
          gauge('cluster_nodes', 'Nodes that this one knows of, itself included', cluster.nodes, 'max'),
          gauge('cluster_clients', 'Clients of all those nodes', cluster.clients, 'max'),
          labelled(
            'bridge_links_down',
            'Connections to Redis that are down',
            'link',
            {
              publisher: down('publisher'),
              subscriber: down('subscriber'),
            },
            'gauge',
          ),
        ]),
  ]
}

export function gauge(name: string, help: string, value: number, aggregator?: 'min' | 'max'): Reading {
  const values = [{ labels: {}, value }]
  return {
    name: `roomcast_${name}`,
    help,
    type: 'gauge',
    values,
    ...(aggregator !== undefined && { aggregator }),
  }
}

export function counter(name: string, help: string, value: number): Reading {
  return { ...gauge(name, help, value), type: 'counter' }
}

export function labelled(
  name: string,
  help: string,
  label: string,
  counts: Record<string, number>,
  type: Reading['type'] = 'counter',
  others: Record<string, string> = {},
): Reading {
  const values = Object.entries(counts).map(([key, value]) => ({
    labels: { [label]: key, ...others },
    value,
  }))
  return { name: `roomcast_${name}`, help, type, values }
}

/** Distributions of milliseconds, in the unit that Prometheus wants; of several, each has labels of its own. */
export function inSeconds(
  name: string,
  help: string,
  ...all: [distribution: Distribution, labels?: Record<string, string>][]
): Reading {
  const full = `roomcast_${name}`
  const values = all.flatMap(([{ bounds, counts, count, sum }, labels = {}]) => {
    let upTo = 0
    const buckets = bounds.map((bound, index) => {
      upTo += counts[index] ?? 0
      return { labels: { ...labels, le: String(bound / 1000) }, value: upTo, metricName: `${full}_bucket` }
    })
    return [
      ...buckets,
      { labels: { ...labels, le: '+Inf' }, value: count, metricName: `${full}_bucket` },
      { labels, value: sum / 1000, metricName: `${full}_sum` },
      { labels, value: count, metricName: `${full}_count` },
    ]
  })
  return { name: full, help, type: 'histogram', values }
}
