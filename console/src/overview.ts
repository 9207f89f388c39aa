import type { Cluster } from './answers.ts'
import { ask, hasKey, Refused } from './api.ts'
import { Chart } from './chart.ts'
import { byId, element } from './element.ts'
import { bytes, counted, milliseconds, shown, span } from './figures.ts'
import { Readings } from './readings.ts'
import { Table } from './table.ts'

const EVERY_MS = 2000

const charts = {
  clients: new Chart('Clients'),
  published: new Chart('Published a second'),
  deliveries: new Chart('Deliveries a second'),
  roundTrip: new Chart('Round trip of clients', { written: milliseconds, second: '99 % within' }),
  held: new Chart('Event loop held up', { written: milliseconds }),
  drops: new Chart('Dropped a second'),
  outbox: new Chart('Waiting for slow clients', { written: bytes }),
  answer: new Chart('Answer of the API', { written: milliseconds }),
}

const nodes = new Table<Cluster['cluster'][number]>(
  'Nodes',
  [
    { label: 'Node', cell: ({ node }) => element('code', {}, node), by: ({ node }) => node, kind: 'name' },
    { label: 'Version', cell: ({ version }) => version, by: ({ version }) => version },
    { label: 'Up', cell: ({ uptimeMs }) => span(uptimeMs), by: ({ uptimeMs }) => uptimeMs, kind: 'number' },
    { label: 'Clients', cell: ({ clients }) => shown(clients), by: ({ clients }) => clients, kind: 'number' },
    { label: 'Rooms', cell: ({ rooms }) => shown(rooms), by: ({ rooms }) => rooms, kind: 'number' },
    {
      ...{ label: 'Loop held', kind: 'number', by: ({ loopHeldMs = -1 }) => loopHeldMs },
      cell: ({ loopHeldMs }) => milliseconds(loopHeldMs),
    },
    {
      ...{ label: 'Waiting', kind: 'number', by: ({ outboxBytes = 0 }) => outboxBytes },
      cell: ({ outboxBytes = 0 }) => bytes(outboxBytes),
    },
    {
      label: 'Bridge',
      cell: ({ bridge: { kind, state } }) =>
        element('span', { className: `badge ${state}` }, `${kind}, ${state}`),
    },
  ],
  'No node has answered yet.',
)

let readings = new Readings()
let timer: ReturnType<typeof setTimeout> | undefined

export function offerOverview(): void {
  byId('charts').append(...Object.values(charts).map(({ figure }) => figure))
  byId('nodes').append(nodes.element)
}

/** Looks at the cluster now, and again every two seconds while the page is seen. */
export async function watchCluster(): Promise<void> {
  clearTimeout(timer)
  readings = new Readings()
  await look()
  const again = () => {
    timer = setTimeout(() => {
      const looked = document.hidden || !hasKey() ? Promise.resolve() : look()
      looked.catch(showFault).finally(again)
    }, EVERY_MS)
  }
  again()
}

async function look(): Promise<void> {
  const startMs = performance.now()
  const answer = await ask<Cluster>('GET', 'cluster')
  const atMs = performance.now()
  const now = readings.take(answer, atMs)
  charts.clients.add(now.clients)
  charts.published.add(now.published)
  charts.deliveries.add(now.deliveries)
  charts.drops.add(now.drops)
  charts.outbox.add(now.outboxBytes)
  charts.roundTrip.add(now.roundTripMs.half, now.roundTripMs.most)
  charts.held.add(now.loopHeldMs)
  charts.answer.add(atMs - startMs)
  nodes.show(answer.cluster)
  const { answered, missing } = answer.nodes
  const has = now.clients === 0 ? 'Nobody is connected; Talk connects two clients. ' : ''
  byId('overview-said').textContent =
    `${has}${counted(now.clients, 'client')} on ${counted(answered, 'node')}, the last four minutes.`
  if (missing.length > 0) showState('missing', `No answer from ${missing.join(', ')}`)
  else if (answer.scope === 'node') showState('missing', 'The bridge is away: this is one node alone')
  else showState('up', `${counted(answered, 'node')} up`)
}

function showFault(error: unknown): void {
  showState('down', error instanceof Refused ? error.message : 'The server does not answer')
}

/** Only what is new is written, or it would be read out again and again. */
export function showState(state: '' | 'up' | 'missing' | 'down', text: string): void {
  const status = byId('status')
  status.className = state
  if (status.textContent !== text) status.textContent = text
}
