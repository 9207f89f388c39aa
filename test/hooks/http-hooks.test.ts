import type { Test } from 'tap'
import { HOOK_SECRET, startBackEnd } from '../support/back-end.ts'
import {
  type Hooked,
  type Host,
  hookContract,
  type Options,
  type Question,
  serve,
} from '../support/hook-contract.ts'

/** The host's functions behind a URL. */
async function start(t: Test, host: Host, options: Options = {}): Promise<Hooked> {
  const { url } = await startBackEnd(t, async ({ body }, response) => {
    try {
      response.end(JSON.stringify(await answerOf(host, body)))
    } catch {
      response.writeHead(500).end('no way')
    }
  })
  const hooks = (['connect', 'join', 'publish'] as const).filter((name) => host[name] !== undefined)
  return serve(t, {
    ...options,
    hookUrl: url,
    hookSecret: HOOK_SECRET,
    hooks: host.calls === undefined ? hooks : [...hooks, 'call'],
  })
}

async function answerOf(
  host: Host,
  question: Question & { hook?: string; method?: string; params?: unknown },
) {
  const { hook, method = '', params } = question
  if (hook !== 'call') return host[hook as 'join']?.(question)
  const { calls = {} } = host
  if (!Object.hasOwn(calls, method)) return { error: 'unknown_method' }
  const result = await calls[method]?.(params, question)
  const isRefusal = typeof result === 'object' && result !== null && Object.keys(result).join() === 'refuse'
  return isRefusal ? result : { result }
}

hookContract('http', { start, thrown: 'unavailable' })
