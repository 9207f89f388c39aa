import type { SharedBucket } from './shared-bucket.ts'

/** Frames a second that a client may send for long, and at once; a rate of 0 means no limit. */
export interface RateLimits {
  messageRate: number
  messageBurst: number
}

/** `notice`: over the limit, tell the client; `over`: over it and told already; `persistent`: end the connection. */
export type Verdict = 'ok' | 'notice' | 'over' | 'persistent'

/** At most one notice in this time. */
const NOTICE_INTERVAL_MS = 1000
/** A run of refused frames ends when nothing was refused for this long. */
const PAUSE_MS = 2000
/** A client whose run lasts this long has not understood the notices. */
const PATIENCE_MS = 10_000
/** The same, for one that floods: so many bursts refused in one run. */
const PATIENCE_BURSTS = 10

/**
 * A token bucket for the inbound frames of one client, which may draw from one that it shares as well. Times are
 * milliseconds of one steady clock.
 */
export class RateLimiter {
  readonly #limits: RateLimits
  #shared: SharedBucket | undefined
  #tokens: number
  #filledAt: number
  #noticedAt = -Infinity
  /** The present run of refused frames: its start, its last frame, its size. */
  #refusedSince = 0
  #refusedAt = -Infinity
  #refused = 0

  constructor(limits: RateLimits, nowMs: number, shared?: SharedBucket) {
    this.#limits = limits
    this.#shared = shared
    const fillsForMs = shared?.enter(nowMs) ?? 0
    this.#tokens = Math.max(0, limits.messageBurst - (fillsForMs * limits.messageRate) / 1000)
    this.#filledAt = nowMs
  }

  /** `isOwn`: a frame that the shared bucket does not count. */
  take(nowMs: number, isOwn = false): Verdict {
    if (this.#limits.messageRate === 0) return 'ok'
    this.#fill(nowMs)
    if (this.#tokens >= 1 && (isOwn || this.#shared === undefined || this.#shared.take(nowMs))) {
      this.#tokens--
      return 'ok'
    }
    return this.#refuse(nowMs)
  }

  /** Milliseconds until the next frame would be let through. */
  retryAfterMs(nowMs: number): number {
    const ownMs = ((1 - this.#tokens) * 1000) / this.#limits.messageRate
    return Math.max(1, Math.ceil(Math.max(ownMs, this.#shared?.retryAfterMs(nowMs) ?? 0)))
  }

  /** The client ends, and leaves behind what it has used. A second call does nothing. */
  end(nowMs: number): void {
    const shared = this.#shared
    if (shared === undefined) return
    this.#shared = undefined
    this.#fill(nowMs)
    const { messageRate, messageBurst } = this.#limits
    shared.leave(nowMs + ((messageBurst - this.#tokens) * 1000) / messageRate, nowMs)
  }

  #fill(nowMs: number): void {
    const { messageRate, messageBurst } = this.#limits
    this.#tokens = Math.min(messageBurst, this.#tokens + ((nowMs - this.#filledAt) * messageRate) / 1000)
    this.#filledAt = nowMs
  }

  #refuse(nowMs: number): Verdict {
    if (nowMs - this.#refusedAt > PAUSE_MS) {
      this.#refusedSince = nowMs
      this.#refused = 0
    }
    this.#refusedAt = nowMs
    this.#refused++
    if (this.#refused > PATIENCE_BURSTS * this.#limits.messageBurst) return 'persistent'
    if (nowMs - this.#refusedSince > PATIENCE_MS) return 'persistent'
    if (nowMs - this.#noticedAt < NOTICE_INTERVAL_MS) return 'over'
    this.#noticedAt = nowMs
    return 'notice'
  }
}
