import { closeSync, openSync, readFileSync } from 'node:fs'
import type { Duplex } from 'node:stream'
import type { Log } from './log.ts'

/** Beside the clients: Node's own, the log, Redis. */
const OWN = 64
/** An eighth of the limit, but between these, is no client's: health checks are answered with it, Redis connected. */
const RESERVE_MIN = 8
const RESERVE_MAX = 64
/** At most one line in this time. */
const WARNING_MS = 10_000
/** How often the limit is read again, which shows as well how many are left. */
const LOOK_MS = 500
/** Linux has it there; other systems do not say, and there nothing is kept in reserve. */
const LIMITS = '/proc/self/limits'

/**
 * The open files that this process may have. A new one gets the lowest number that is free and the limit is one of
 * numbers, so a connection's own number says how near the end is.
 */
export class Descriptors {
  /** Infinity where it is not known. */
  limit = Number.POSITIVE_INFINITY
  /** Connections that were refused or cut because descriptors ran short. */
  refused = 0
  readonly #log: Log
  #warnedAtMs = Number.NEGATIVE_INFINITY
  #timer: NodeJS.Timeout | undefined

  constructor(log: Log) {
    this.#log = log
    this.look()
  }

  get #reserve(): number {
    return Math.min(RESERVE_MAX, Math.max(RESERVE_MIN, Math.floor(this.limit / 8)))
  }

  /** Reads the limit. False when no more than the reserve is left. */
  look(): boolean {
    try {
      const { limit, next } = readLimit()
      this.limit = limit
      return next < limit - this.#reserve
    } catch {
      return false
    }
  }

  /** From now on a shortage is warned of also when no connection shows it. */
  watch(): void {
    this.#timer = setInterval(() => {
      if (!this.look()) this.warn()
    }, LOOK_MS)
    this.#timer.unref()
  }

  close(): void {
    clearInterval(this.#timer)
  }

  /** Whether a connection has a descriptor of the reserve: it gets a short answer, and is no client. */
  isReserved(socket: Duplex): boolean {
    return numberOf(socket) >= this.limit - this.#reserve
  }

  /** Whether a connection has one of the last, which are for connections of our own making. */
  isOfTheLast(socket: Duplex): boolean {
    return numberOf(socket) >= this.limit - this.#reserve / 2
  }

  refuse(): void {
    this.refused++
    this.warn()
  }

  warn(): void {
    const now = performance.now()
    if (now - this.#warnedAtMs < WARNING_MS) return
    this.#warnedAtMs = now
    this.#log.warn({ limit: this.limit, refused: this.refused }, 'descriptors run out')
  }

  /** Says at the start that the limit will not do for so many clients. */
  compareWith(maxClients: number): void {
    const needed = maxClients + OWN + RESERVE_MAX
    if (this.limit >= needed) return
    this.#log.warn(
      { limit: this.limit, maxClients, needed },
      'too few descriptors for MAX_CLIENTS: raise the limit on open files (ulimit -n, LimitNOFILE) or lower it',
    )
  }
}

/** Whether an error says that there are no descriptors left, in this process or on the machine. */
export function isShortage(error: unknown): boolean {
  return /^(EMFILE|ENFILE)$/.test((error as NodeJS.ErrnoException).code ?? '')
}

/** The limit on open files, and the lowest number that is free. Throws when there is none. */
export function readLimit(): { limit: number; next: number } {
  let next = -1
  try {
    next = openSync(LIMITS, 'r')
    const limit = Number(/^Max open files\s+(\d+)/m.exec(readFileSync(next, 'latin1'))?.[1])
    return { limit: limit > 0 ? limit : Number.POSITIVE_INFINITY, next }
  } catch (error) {
    if (isShortage(error)) throw error
    return { limit: Number.POSITIVE_INFINITY, next: 0 }
  } finally {
    if (next >= 0) closeSync(next)
  }
}

/** The descriptor's number. Node has no other name for it; under TLS the handle gives that of its TCP socket. */
function numberOf(socket: Duplex): number {
  return (socket as { _handle?: { fd?: number } | null })._handle?.fd ?? -1
}
