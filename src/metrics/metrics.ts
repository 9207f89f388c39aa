import { setImmediate as turnEnd } from 'node:timers/promises'
import {
  type Aggregator,
  AggregatorRegistry,
  collectDefaultMetrics,
  type Metric,
  type MetricObject,
  Registry,
} from 'prom-client'
import type { Hub } from '../hub/hub.ts'
import { sumsOf } from '../hub/sums.ts'
import { type Reading, readings, type Value } from './readings.ts'

/** The figures of one process, as they are sent to another. */
export type Figures = Figure[]
interface Figure {
  name: string
  help: string
  type: 'counter' | 'gauge' | 'histogram' | 'summary'
  aggregator: Aggregator
  values: Value[]
}

/** A node's figures for Prometheus. Everything is read when it is asked for; nothing is kept for it. */
export class Metrics {
  readonly contentType = Registry.PROMETHEUS_CONTENT_TYPE
  readonly #hub: Hub
  readonly #parts: (() => Reading[])[] = []
  #current: Promise<string> | undefined
  #gather: () => Promise<Figures[]> = async () => [await this.figures()]

  constructor(hub: Hub) {
    this.#hub = hub
  }

  /** Figures of a part that not every node has. */
  add(read: () => Reading[]): void {
    this.#parts.push(read)
  }

  /** From now on a scrape tells the figures of several processes, added up; `gather` gets them all. */
  gatherBy(gather: () => Promise<Figures[]>): void {
    this.#gather = gather
  }

  /** In Prometheus's text form. Whoever asks in the same turn, or while it is made, gets the same: it takes 2 ms. */
  scrape(): Promise<string> {
    this.#current ??= turnEnd()
      .then(() => this.#gather())
      .then((all) => AggregatorRegistry.aggregate(all as unknown as MetricObject[]).metrics())
      .finally(() => {
        this.#current = undefined
      })
    return this.#current
  }

  /** Of this process alone. */
  async figures(): Promise<Figures> {
    const sums = await sumsOf(this.#hub)
    const registry = new Registry()
    for (const reading of [...readings(this.#hub, sums), ...this.#parts.flatMap((read) => read())])
      registry.registerMetric(asMetric(reading))
    const own = [...(await registry.getMetricsAsJSON()), ...(await ofTheProcess().getMetricsAsJSON())]
    return (own as unknown as Figures).map(asTheWorst)
  }
}

let processRegistry: Registry | undefined

/** Memory, CPU, garbage collection, delay of the event loop. Watched from the first scrape on, for all apps of a process. */
function ofTheProcess(): Registry {
  if (processRegistry === undefined) {
    processRegistry = new Registry()
    collectDefaultMetrics({ register: processRegistry })
  }
  return processRegistry
}

/** As the library has it, a slow process hides behind the others, and when it has started is not told at all. */
function asTheWorst(figure: Figure): Figure {
  const { aggregator } = figure
  return aggregator === 'average' || aggregator === 'omit' ? { ...figure, aggregator: 'max' } : figure
}

/** The registry wants of a metric its name, and that it can be asked; ours are read already. */
function asMetric(reading: Reading): Metric {
  const figure = { aggregator: 'sum' as const, ...reading }
  return { ...figure, get: async () => figure } as unknown as Metric
}
