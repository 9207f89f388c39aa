import type { End } from './back-off.ts'
import type { Platform } from './platform.ts'

/**
 * Asks over plain HTTP why a WebSocket was refused, which a browser does not tell. The request is one that an event stream
 * refuses for its query alone, and last: 400 says that all else is well. Rejects when there is no way there, or none that a
 * page may look at.
 */
export async function probe(
  url: URL,
  attempt: { token: string; stop(): void },
  platform: Platform,
  timeoutMs: number,
): Promise<Partial<End>> {
  const asked = new URL(url)
  asked.pathname += 'sse'
  asked.searchParams.set('token', attempt.token)
  asked.searchParams.set('last', '0')
  const abort = new AbortController()
  const timer = platform.setTimeout(() => abort.abort(), timeoutMs)
  attempt.stop = () => {
    platform.clearTimeout(timer)
    abort.abort()
  }
  try {
    const answer = await platform.fetch?.(asked.href, {
      signal: abort.signal,
      headers: { accept: 'text/event-stream' },
    })
    if (answer === undefined) return {}
    void answer.body?.cancel().catch(() => {})
    const retryAfterS = Number(answer.headers.get('retry-after') ?? 0)
    return { status: answer.status, ...(retryAfterS > 0 && { retryAfterMs: retryAfterS * 1000 }) }
  } finally {
    platform.clearTimeout(timer)
  }
}
