/** Why a connection ended, as far as it can be known. */
export interface End {
  /** The close code; 1006 where there was none. */
  code: number
  reason: string
  /** Of a refusal, where it could be asked for. */
  status?: number
  retryAfterMs?: number
}

/** What to do after an end: wait so many milliseconds, or never come back. */
export type Verdict = number | 'never'

/** The client broke a rule, or was told to go. */
const final = /^(100[23789]|4403)$/

/** The waits of docs/PROTOCOL.md, *Back-off*. A series begins anew with `reset`. */
export class BackOff {
  #tries = 0

  reset(): void {
    this.#tries = 0
  }

  after({ code, reason, retryAfterMs }: End, wasOpen: boolean, random: number, reconnectInMs = -1): Verdict {
    if (final.test(String(code))) return 'never'
    // Already spread by the server.
    if (reconnectInMs >= 0) return reconnectInMs
    if (code === 4429) return +reason.replace(/\D+/g, '') * 1000 * (1 + random / 2) || 10_000
    const isQuick = wasOpen && code !== 1011 && code !== 1013
    const [first, most] = isQuick ? [100, 5000] : [1000, 30_000]
    const wait = Math.min(first * 2 ** this.#tries++, most) * (0.5 + random / 2)
    return Math.max(wait, retryAfterMs ?? 0)
  }
}
