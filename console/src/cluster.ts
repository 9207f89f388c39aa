import { ask, type Cluster, hasKey } from './api.ts'
import { Chart, shown } from './chart.ts'
import { byId, row, tell } from './element.ts'

const EVERY_MS = 2000

const charts = {
  clients: new Chart('Clients'),
  published: new Chart('Published a second'),
  deliveries: new Chart('Deliveries a second'),
  drops: new Chart('Dropped a second'),
  outboxBytes: new Chart('Bytes that wait for slow clients'),
  answerMs: new Chart('The API’s answer in ms'),
}

interface Totals {
  atMs: number
  published: number
  deliveries: number
  drops: number
}
let before: Totals | undefined
let timer: ReturnType<typeof setTimeout> | undefined

/** Looks at the cluster now, and again every two seconds while the page is seen. */
export async function watchCluster(): Promise<void> {
  if (byId('charts').childElementCount === 0)
    byId('charts').append(...Object.values(charts).map(({ figure }) => figure))
  clearTimeout(timer)
  await look()
  const again = () => {
    timer = setTimeout(() => {
      const looked = document.hidden || !hasKey() ? Promise.resolve() : look()
      looked.catch(tell).finally(again)
    }, EVERY_MS)
  }
  again()
}

async function look(): Promise<void> {
  const startMs = performance.now()
  const { cluster, clients, nodes } = await ask<Cluster>('GET', 'cluster')
  const atMs = performance.now()
  const sum = (name: 'published' | 'deliveries' | 'drops' | 'outboxBytes') =>
    cluster.reduce((total, node) => total + (node[name] ?? 0), 0)
  const now = { atMs, published: sum('published'), deliveries: sum('deliveries'), drops: sum('drops') }
  charts.clients.add(clients)
  charts.outboxBytes.add(sum('outboxBytes'))
  charts.answerMs.add(atMs - startMs)
  if (before !== undefined) {
    const seconds = (atMs - before.atMs) / 1000
    // A node that has begun anew counts from nothing.
    for (const name of ['published', 'deliveries', 'drops'] as const)
      charts[name].add(Math.max(0, (now[name] - before[name]) / seconds))
  }
  before = now
  byId('nodes').replaceChildren(
    ...cluster.map(({ node, version, uptimeMs, clients, rooms, bridge }) =>
      row(
        ...[node, version, `${shown(uptimeMs / 60_000)} min`, shown(clients), shown(rooms)],
        `${bridge.kind}, ${bridge.state}`,
      ),
    ),
  )
  const { missing } = nodes
  tell(
    missing.length > 0
      ? `No answer from ${missing.join(', ')}.`
      : cluster.length === 1
        ? 'One node answered.'
        : `${cluster.length} nodes answered.`,
  )
}
