import cluster, { type Worker } from 'node:cluster'
import type { Figures, Metrics } from './metrics/metrics.ts'

/** A worker that does not answer by then is left out. */
const DEADLINE_MS = 1000

/** What workers and their first process say to each other about figures. */
type Exchange = { figuresOf: 'all' | 'you'; id: number } | { figures: Figures[]; id: number }

let lastId = 0
const waiting = new Map<number, (figures: Figures[]) => void>()

/** In a worker: a scrape tells of all workers, whichever of them is asked. */
export function shareMetrics(metrics: Metrics): void {
  process.on('message', (message: Exchange) => {
    if ('figures' in message) waiting.get(message.id)?.(message.figures)
    else if (message.figuresOf === 'you') void answer(metrics, message.id)
  })
  metrics.gatherBy(async () => {
    const id = ++lastId
    const all = answerTo(id)
    process.send?.({ figuresOf: 'all', id } satisfies Exchange)
    const figures = await all
    return figures.length > 0 ? figures : [await metrics.figures()]
  })
}

/** In the first process: asks all workers for the one that wants to know. */
export function gatherFor(asking: Worker, workers: () => Worker[]): void {
  asking.on('message', (message: Exchange) => {
    if ('figures' in message) waiting.get(message.id)?.(message.figures)
    else if (message.figuresOf === 'all') void gather(asking, message.id, workers())
  })
}

async function gather(asking: Worker, askedAs: number, workers: Worker[]): Promise<void> {
  const answers = await Promise.all(
    workers.map((worker) => {
      const id = ++lastId
      const answer = answerTo(id)
      worker.send({ figuresOf: 'you', id } satisfies Exchange)
      return answer
    }),
  )
  if (asking.isConnected()) asking.send({ figures: answers.flat(), id: askedAs } satisfies Exchange)
}

async function answer(metrics: Metrics, id: number): Promise<void> {
  const figures = [await metrics.figures()]
  if (cluster.worker?.isConnected()) process.send?.({ figures, id } satisfies Exchange)
}

/** None when there is no answer in time. */
function answerTo(id: number): Promise<Figures[]> {
  return new Promise((resolve) => {
    const end = (figures: Figures[]) => {
      clearTimeout(timer)
      waiting.delete(id)
      resolve(figures)
    }
    const timer = setTimeout(end, DEADLINE_MS, [])
    waiting.set(id, end)
  })
}
