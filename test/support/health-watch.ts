// GET /health on a steady beat, as a load balancer does, and what it said when.
import type { Test } from 'tap'
import { cpuWait } from './cpu-wait.ts'
import { quantile } from './crowd.ts'
import type { Health, Server } from './server.ts'
import { pace } from './until.ts'

const EVERY_MS = 200
const TIMEOUT_MS = 1000

export type LinkState = 'up' | 'down'
/** The state of both connections. */
export interface Links {
  publisher: LinkState
  subscriber: LinkState
}
export const bothUp: Links = { publisher: 'up', subscriber: 'up' }
export const bothDown: Links = { publisher: 'down', subscriber: 'down' }

interface Link {
  state: LinkState
  reason?: string
}

/** What /health says of Redis. */
export function linksOf(health: Health): { publisher: Link; subscriber: Link; state: LinkState } {
  return health.bridge as { publisher: Link; subscriber: Link; state: LinkState }
}

export class HealthWatch {
  readonly answers: { askedAtMs: number; tookMs: number; health: Health }[] = []
  readonly failures: string[] = []
  readonly #server: Server
  readonly #waited: () => number
  #isOver = false
  readonly #running: Promise<void>

  constructor(t: Test, server: Server) {
    this.#server = server
    this.#waited = cpuWait(server)
    t.teardown(() => this.stop())
    this.#running = this.#run()
  }

  async #run(): Promise<void> {
    while (!this.#isOver) {
      const askedAtMs = performance.now()
      try {
        const health = await this.#server.health('/health', TIMEOUT_MS)
        this.answers.push({ askedAtMs, tookMs: performance.now() - askedAtMs, health })
      } catch (error) {
        this.failures.push(String(error))
      }
      await pace(Math.max(0, askedAtMs + EVERY_MS - performance.now()))
    }
  }

  async stop(): Promise<void> {
    this.#isOver = true
    await this.#running
  }

  /** Every answer from one time to another says this of the links. */
  saysAllAlong(t: Test, links: Partial<Links>, fromMs: number, toMs = performance.now()): void {
    const others = this.answers
      .filter(({ askedAtMs }) => askedAtMs >= fromMs && askedAtMs < toMs)
      .map(({ health }) => linksOf(health))
      .filter((said) => !matches(said, links))
    t.strictSame(others, [], `/health says ${JSON.stringify(links)} all along`)
  }

  /** Always an answer, in time, 200, and with nothing in it that helps an attacker. */
  verify(t: Test, secrets: string[] = []): void {
    t.strictSame(this.failures, [], '/health always answers')
    const took = this.answers.map(({ tookMs }) => tookMs)
    const p90 = quantile(took, 0.9)
    const boundMs = 250 + (3 * this.#waited()) / took.length
    t.ok(p90 < boundMs, `/health answers in ${Math.round(p90)} ms (p90, bound ${Math.round(boundMs)})`)
    const odd = this.answers.filter(({ health: { code } }) => code !== 200)
    t.strictSame(odd, [], '/health is 200')
    const telling = /127\.0\.0\.1|localhost|redis:\/\/|\bat .*:\d+:\d+/
    for (const { health } of this.answers) {
      const text = JSON.stringify(health)
      const secret = [telling.exec(text)?.[0], ...secrets.filter((one) => text.includes(one))].find(Boolean)
      if (secret !== undefined) {
        t.fail(`/health tells ${secret}: ${text}`)
        return
      }
    }
  }
}

/** Resolves when /health says this of the links (what is left out may be anything), with how long that took. */
export async function saysLinks(
  server: Server,
  links: Partial<Links>,
  { sinceMs = performance.now(), withinMs = 5000 }: { sinceMs?: number; withinMs?: number } = {},
): Promise<number> {
  const waited = cpuWait(server)
  for (;;) {
    const health = await server.health('/health', 5000)
    const said = linksOf(health)
    const isUp = said.publisher.state === 'up' && said.subscriber.state === 'up'
    if (matches(said, links) && (said.state === 'up') === isUp) break
    if (performance.now() - sinceMs > withinMs + waited())
      throw new Error(`${JSON.stringify(links)} not within ${withinMs} ms: ${JSON.stringify(health)}`)
    await pace(20)
  }
  return performance.now() - sinceMs
}

function matches(said: { publisher: Link; subscriber: Link }, links: Partial<Links>): boolean {
  return (
    (links.publisher === undefined || said.publisher.state === links.publisher) &&
    (links.subscriber === undefined || said.subscriber.state === links.subscriber)
  )
}
