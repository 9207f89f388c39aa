import t from 'tap'
import type { Figures } from '../src/metrics/metrics.ts'
import { WorkerFigures } from '../src/worker-figures.ts'

/** A counter by a label and a gauge. */
function figures(counts: Record<string, number>, clients: number): Figures {
  const values = Object.entries(counts).map(([type, value]) => ({ labels: { type }, value }))
  return [
    { name: 'requests', help: '', type: 'counter', aggregator: 'sum', values },
    { name: 'clients', help: '', type: 'gauge', aggregator: 'sum', values: [{ labels: {}, value: clients }] },
  ]
}

/** All of a metric's values, of whatever worker. */
const seen = (workers: WorkerFigures, metric: string) =>
  workers.all.flatMap((one) => one.filter(({ name }) => name === metric).flatMap(({ values }) => values))

t.test(
  'of a worker its newest figures count, and of those that are gone what they had counted',
  async (t) => {
    const workers = new WorkerFigures()
    t.strictSame(workers.all, [])
    workers.hear(1, figures({ join: 1 }, 5))
    workers.hear(1, figures({ join: 2 }, 6))
    workers.hear(2, figures({ join: 10, leave: 1 }, 1))
    workers.hear(3, figures({ join: 100 }, 1))
    t.same(new Set(seen(workers, 'requests').map(({ value }) => value)), new Set([2, 10, 1, 100]))
    workers.end(1)
    workers.end(2)
    workers.end(9)
    t.strictSame(seen(workers, 'requests'), [
      { labels: { type: 'join' }, value: 100 },
      { labels: { type: 'join' }, value: 12 },
      { labels: { type: 'leave' }, value: 1 },
    ])
    t.strictSame(seen(workers, 'clients'), [{ labels: {}, value: 1 }], 'nobody is connected to them')
  },
)
