import cluster, { type Worker } from 'node:cluster'
import type { Figures, Metrics } from './metrics/metrics.ts'
import { WorkerFigures } from './worker-figures.ts'

/** A worker that does not answer by then counts as it was. */
const DEADLINE_MS = 1000
/** Who asks for all of them waits for longer than the first process waits for one: else it would always be too early. */
const ALL_DEADLINE_MS = 2 * DEADLINE_MS

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
    const all = answerTo(id, ALL_DEADLINE_MS)
    process.send?.({ figuresOf: 'all', id } satisfies Exchange)
    const figures = await all
    return figures.length > 0 ? figures : [await metrics.figures()]
  })
}

/** In the first process: what all workers say, for those of them who want to know. */
export class WorkerMetrics {
  readonly #figures = new WorkerFigures()
  /** Those that have begun, and so answer. */
  readonly #workers = new Set<Worker>()

  add(worker: Worker): void {
    worker.once('listening', () => this.#workers.add(worker))
    worker.once('exit', () => {
      this.#workers.delete(worker)
      this.#figures.end(worker.id)
    })
    worker.on('message', (message: Exchange) => {
      if ('figures' in message) {
        // Also what comes too late: it is newer than what there is. Not what is left in the pipe of one that is gone.
        if (this.#workers.has(worker))
          for (const figures of message.figures) this.#figures.hear(worker.id, figures)
        waiting.get(message.id)?.(message.figures)
      } else if (message.figuresOf === 'all') void this.#gather(worker, message.id)
    })
  }

  async #gather(asking: Worker, askedAs: number): Promise<void> {
    const connected = [...this.#workers].filter((worker) => worker.isConnected())
    await Promise.all(
      connected.map((worker) => {
        const id = ++lastId
        const answer = answerTo(id, DEADLINE_MS)
        worker.send({ figuresOf: 'you', id } satisfies Exchange)
        return answer
      }),
    )
    if (asking.isConnected()) asking.send({ figures: this.#figures.all, id: askedAs } satisfies Exchange)
  }
}

async function answer(metrics: Metrics, id: number): Promise<void> {
  const figures = [await metrics.figures()]
  if (cluster.worker?.isConnected()) process.send?.({ figures, id } satisfies Exchange)
}

/** None when there is no answer in time. */
function answerTo(id: number, deadlineMs: number): Promise<Figures[]> {
  return new Promise((resolve) => {
    const end = (figures: Figures[]) => {
      clearTimeout(timer)
      waiting.delete(id)
      resolve(figures)
    }
    const timer = setTimeout(end, deadlineMs, [])
    waiting.set(id, end)
  })
}
