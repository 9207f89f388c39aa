import type { Log } from './log.ts'
import { loggedAddress } from './logged-text.ts'

/** So many of a kind are logged one by one; what comes beyond in the period is counted. */
const SINGLY = 5
const PERIOD_MS = 10_000

/** What all refusals of a kind have in common: few values, however many peers ask for what. */
interface Kind {
  status: number
  path?: string | undefined
  /** The code of Node's parser. */
  reason?: string | undefined
}

/** What the log says of one. */
interface Refused {
  ip: string | undefined
  method?: string
  path?: string | undefined
}

interface Period {
  kind: Kind
  singly: number
  counted: number
  timer: NodeJS.Timeout
}

/**
 * Logs refused requests: the first of a kind, and then, as long as more come, their number in each 10 s. Whoever is
 * refused can ask again at once, and would write the log full.
 */
export class RefusalLog {
  readonly #log: Log
  readonly #periods = new Map<string, Period>()

  constructor(log: Log) {
    this.#log = log
  }

  add(kind: Kind, { ip, ...refused }: Refused): void {
    const key = Object.values(kind).join(' ')
    const period = this.#periods.get(key) ?? this.#begin(key, kind)
    if (period.singly < SINGLY) {
      period.singly++
      this.#log.info({ ...refused, ...kind, ip: loggedAddress(ip) }, 'request refused')
    } else period.counted++
  }

  /** Logs what is counted, and counts no more. */
  close(): void {
    for (const period of this.#periods.values()) {
      clearInterval(period.timer)
      this.#sum(period)
    }
    this.#periods.clear()
  }

  #begin(key: string, kind: Kind): Period {
    const timer = setInterval(() => {
      if (this.#sum(period) > SINGLY) return
      clearInterval(timer)
      this.#periods.delete(key)
    }, PERIOD_MS)
    timer.unref()
    const period = { kind, singly: 0, counted: 0, timer }
    this.#periods.set(key, period)
    return period
  }

  /** Logs the number since the last time, if there were any, and returns it. */
  #sum(period: Period): number {
    const { kind, counted: count } = period
    period.counted = 0
    if (count > 0) this.#log.info({ ...kind, count, inMs: PERIOD_MS }, 'more requests refused')
    return count
  }
}
