import { deadline } from './deadline.ts'
import { RoomcastError } from './errors.ts'
import type { Platform } from './platform.ts'
import type { HubOptions } from './types.ts'

/** Gives tokens: a fixed one, or those of a provider that is asked once at a time, with a deadline. */
export class TokenSource {
  readonly #token: HubOptions['token']
  readonly #platform: Platform
  readonly #timeoutMs: number
  #asking: Promise<string> | undefined
  /** Waits for the provider no more: it may answer, or never. */
  stop = () => {}

  constructor(token: HubOptions['token'], platform: Platform, timeoutMs: number) {
    this.#token = token
    this.#platform = platform
    this.#timeoutMs = timeoutMs
  }

  /** Whether it is always the same. */
  get isFixed(): boolean {
    return typeof this.#token === 'string'
  }

  /** Rejects when the provider throws, gives no text, or does not answer in time. */
  get(): Promise<string> {
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = undefined
    })
    return this.#asking
  }

  async #ask(): Promise<string> {
    const token = this.#token
    if (typeof token === 'string') return token
    const late = new Promise<never>((_, reject) => {
      const tooLate = () => reject(new RoomcastError('timeout', 'no token'))
      this.stop = deadline(this.#platform, this.#timeoutMs, tooLate)
    })
    try {
      const given: unknown = await Promise.race([late, (async () => token())()])
      if (typeof given !== 'string' || given === '') throw new TypeError('bad token')
      return given
    } catch (error) {
      // Anything may be thrown, and whoever listens is promised an Error.
      throw error instanceof Error ? error : new TypeError(String(error))
    } finally {
      this.stop()
    }
  }
}
