// One outage of Redis from beginning to end, and everything that must hold for two nodes all along.
import type { Test } from 'tap'
import { bothDown, HealthWatch, type Links } from './health-watch.ts'
import { BUFFER_SLACK } from './memory-slack.ts'
import { BACK_MS, bothSay, isTidy, isWhole, linkLines, localLife, startPair } from './node-pair.ts'
import type { TestRedis } from './redis.ts'
import type { Server } from './server.ts'
import { Traffic, type TrafficOptions } from './traffic.ts'

export interface OutageOptions extends TrafficOptions {
  redis: TestRedis
  begin(): unknown
  end(): unknown
  /** How long it lasts, from when both nodes have said so. */
  lastsMs: number
  /** What both nodes say of their links meanwhile. */
  links?: Links
  /** Delivery is back so long after `end`. */
  withinMs?: number
  /** Silence is noticed by publishes that are not answered; until then members wait for them, so long at most. */
  noticedMs?: number
  /** The cause, as the log names it. */
  log?: RegExp
}

/** Nothing older than this may arrive at the other node when Redis comes back, but for what it took before it froze. */
const OLDEST_MS = 5000
const GROWTH_BYTES = 64 * 1024 * 1024 + BUFFER_SLACK
const SAMPLE_MS = 250

/**
 * Two nodes live through it: told by /health in time both ways, local life and delivery as ever, acks that say how far
 * they went, memory bounded, nothing late, nothing twice, and everything as before afterwards.
 */
export async function livesThrough(t: Test, options: OutageOptions): Promise<void> {
  const { redis, links = bothDown, noticedMs = 0, withinMs = BACK_MS, from = [0, 1] } = options
  const pair = await startPair(t, redis.url)
  const watches = pair.map((node) => new HealthWatch(t, node))
  const traffic = await Traffic.start(t, pair, options)
  await traffic.flows()
  const memory = pair.map((node) => ({ node, before: node.rss(), peak: 0 }))
  const sampler = setInterval(() => {
    for (const one of memory) if (one.node.alive) one.peak = Math.max(one.peak, one.node.rss())
  }, SAMPLE_MS)
  t.teardown(() => clearInterval(sampler))

  await options.begin()
  const downMs = performance.now()
  await bothSay(pair, links, downMs)
  const saidMs = performance.now()
  const { scope } = await localLife(t, pair[0], () => performance.now() > saidMs + options.lastsMs)
  t.equal(scope, links.subscriber === 'down' ? 'node' : undefined, 'what joined says')
  const aboutMs = performance.now()
  for (const watch of watches) watch.saysAllAlong(t, links, saidMs, aboutMs)

  await options.end()
  const backMs = performance.now()
  await isWhole(t, pair, traffic, { backMs, withinMs, from })
  await traffic.beats(20)
  clearInterval(sampler)
  await traffic.settle()
  traffic.verify(t, backMs)
  traffic.isLocallyFast(t, downMs + noticedMs, backMs, downMs)
  for (const side of from) {
    const first = Math.max(0, ...traffic.localMs(side, downMs, downMs + noticedMs))
    t.ok(first < noticedMs + 750, `until it is noticed ${Math.round(first)} ms at most`)
    traffic.wasAcked(t, side, 'node', Math.max(saidMs, downMs + noticedMs), aboutMs)
    t.equal(traffic.scopes[side].at(-1), 'cluster', 'acks say cluster again')
    const oldestMs = traffic.oldestAgeMs(side, backMs)
    t.ok(
      oldestMs < Math.max(OLDEST_MS, backMs - downMs + 1000),
      `the oldest that arrived afterwards was sent ${Math.round(oldestMs)} ms before`,
    )
  }
  for (const { before, peak } of memory) {
    const grown = Math.round((peak - before) / 1024 / 1024)
    t.ok(peak - before < GROWTH_BYTES, `RSS grew by ${grown} MiB`)
  }
  for (const watch of watches) {
    await watch.stop()
    watch.verify(t)
  }
  for (const node of pair) saysChangesOnce(t, node, options.log)
  await isTidy(t, redis, pair, { r: 2 })
}

/** Each link said each change once, and why it was down. */
function saysChangesOnce(t: Test, node: Server, reason?: RegExp): void {
  for (const link of ['publisher', 'subscriber']) {
    const lines = linkLines(node, link)
    t.strictSame(
      lines.filter((line, i) => line === lines[i - 1]),
      [],
      `${link}: nothing said twice`,
    )
    t.ok(lines.length <= 6, `${link}: ${lines.join(', ')}`)
  }
  if (reason !== undefined) t.match(linkLines(node).join('\n'), reason, 'the cause is in the log')
}
