import { deadline } from './deadline.ts'
import type { Platform } from './platform.ts'

/** A page that wakes up gives the server so long to show that it is there. */
const PROVE_MS = 3_000
/** Parts of the ping interval: to listen for, and to wait for an answer. Twice the first and the second make two intervals. */
const LISTEN = 0.75
const ANSWER = 0.5

/** Tells when a link is dead: nothing was heard for two intervals, although it was asked. */
export class Liveness {
  readonly #platform: Platform
  readonly #intervalMs: number
  readonly #ping: () => void
  readonly #dead: () => void
  #stop = () => {}
  #hasHeard = false
  #isStopped = false

  /** `ping` asks for a sign of life; `dead` is called once. */
  constructor(platform: Platform, intervalMs: number, ping: () => void, dead: () => void) {
    this.#platform = platform
    this.#intervalMs = intervalMs
    this.#ping = ping
    this.#dead = dead
    this.#listen()
  }

  heard(): void {
    this.#hasHeard = true
  }

  /** Asks now, and wants to hear soon. */
  prove(): void {
    this.#ask(Math.min(PROVE_MS, this.#intervalMs * ANSWER))
  }

  stop(): void {
    this.#isStopped = true
    this.#stop()
  }

  #listen(): void {
    this.#in(this.#intervalMs * LISTEN, () => this.#ask(this.#intervalMs * ANSWER))
  }

  #ask(ms: number): void {
    if (this.#isStopped) return
    this.#in(ms, () => this.#dead())
    this.#ping()
  }

  /** Unless something is heard until then. */
  #in(ms: number, then: () => void): void {
    this.#stop()
    this.#hasHeard = false
    this.#stop = deadline(this.#platform, ms, () => (this.#hasHeard ? this.#listen() : then()))
  }
}
