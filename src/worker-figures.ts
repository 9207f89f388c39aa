import type { Figures } from './metrics/metrics.ts'

/**
 * What workers have said of themselves last. One that hangs counts as it was, and what one that is gone had counted stays
 * in the sums: to Prometheus a sum that falls is a restart, and all that is left of it looks as if it had just happened.
 */
export class WorkerFigures {
  readonly #last = new Map<number, Figures>()
  /** Of all that are gone together. */
  readonly #gone = new Map<string, Figures[number]>()

  /** The worker's newest figures. */
  hear(worker: number, figures: Figures): void {
    this.#last.set(worker, figures)
  }

  /** The worker is gone: it has no clients, but what it had counted has happened. */
  end(worker: number): void {
    for (const metric of this.#last.get(worker) ?? []) if (metric.type !== 'gauge') this.#keep(metric)
    this.#last.delete(worker)
  }

  /** Of each worker that has said anything, and of those that are gone. */
  get all(): Figures[] {
    const gone = [...this.#gone.values()]
    return [...this.#last.values(), ...(gone.length === 0 ? [] : [gone])]
  }

  #keep(metric: Figures[number]): void {
    const { values } = this.#gone.get(metric.name) ?? { values: [] }
    const sums = new Map(values.map((value) => [keyOf(value), value]))
    for (const value of metric.values) {
      const before = sums.get(keyOf(value))?.value ?? 0
      sums.set(keyOf(value), { ...value, value: before + value.value })
    }
    this.#gone.set(metric.name, { ...metric, values: [...sums.values()] })
  }
}

/** Labels of one metric come in one order: all workers are of one version. */
const keyOf = ({ labels, metricName }: Figures[number]['values'][number]) =>
  JSON.stringify([metricName, labels])
