// The published drop test: many clients, each cut off for 2 s every 15 s or so, while 10 messages a second are said.
import t from 'tap'
import { WebSocket } from 'ws'
import { connect } from '../../../test/support/client.ts'
import { quantile } from '../../../test/support/crowd.ts'
import { startServer } from '../../../test/support/server.ts'
import { tokenFor } from '../../../test/support/token.ts'
import { pace, pollUntil } from '../../../test/support/until.ts'
import { HubClient } from '../../src/hub-client.ts'
import { platform } from '../../src/platform.ts'

const { DROP_CLIENTS = '2500', DROP_SECONDS = '60' } = process.env
const CLIENTS = Number(DROP_CLIENTS)
const SECONDS = Number(DROP_SECONDS)
const EVERY_MS = 100
/** Between two cuts of one client. */
const CUT_EVERY_MS = 15_000
const AWAY_MS = 2000
/** So many begin at a time. */
const BATCH = 50
const token = tokenFor('crowd')

/** The number that was said last, and whether it has all. */
const said = { last: -1 }

/** One client, its network, and what it has seen: the numbers from 0 on, each once and in their order. */
class Follower {
  next: number | undefined
  faults = 0
  returns = 0
  readonly hub: HubClient
  #socket: WebSocket | undefined
  #awayUntilMs = 0
  #openedAtMs: number | undefined
  #target = 0

  constructor(url: string, onCaughtUp: (ms: number) => void) {
    const isAway = () => performance.now() < this.#awayUntilMs
    const use = (socket: WebSocket) => {
      this.#socket = socket
    }
    class Cuttable extends WebSocket {
      constructor(to: string) {
        if (isAway()) throw new Error('no network')
        super(to, { perMessageDeflate: false })
        use(this)
      }
    }
    const here = {
      ...platform(),
      WebSocket: Cuttable as never,
      fetch: (...args: Parameters<typeof fetch>) =>
        isAway() ? Promise.reject(new TypeError('no network')) : fetch(...args),
    }
    this.hub = new HubClient(new URL(url), { token: () => token }, here)
    const room = this.hub.room('crowd')
    this.hub.on('state', ({ name }) => {
      if (name !== 'open' || this.next === undefined) return
      this.returns++
      this.#openedAtMs = performance.now()
      this.#target = said.last
    })
    room.on('message', ({ content }) => {
      this.next ??= content as number
      if (content !== this.next) this.faults++
      this.next = (content as number) + 1
      if (this.#openedAtMs === undefined || this.next <= this.#target) return
      onCaughtUp(performance.now() - this.#openedAtMs)
      this.#openedAtMs = undefined
    })
  }

  /** Cut off, without a word. */
  drop(): void {
    this.#awayUntilMs = performance.now() + AWAY_MS
    this.#socket?.terminate()
  }
}

t.test(`${CLIENTS} clients that drop for ${AWAY_MS} ms: 100.00 % of what is said, each once`, async (t) => {
  const server = await startServer({
    ...{ CONNECT_RATE_MAX: '0', MAX_CLIENTS: '20000', USER_RATE_FACTOR: '0', HISTORY_SIZE: '1000' },
  })
  t.teardown(() => server.stop())
  const caughtUpMs: number[] = []
  const followers: Follower[] = []
  t.teardown(() => {
    for (const { hub } of followers) hub.close()
  })
  const writer = await connect(server, 'writer')
  await writer.join('crowd')
  while (followers.length < CLIENTS) {
    for (let n = 0; n < BATCH; n++) followers.push(new Follower(server.url('/'), (ms) => caughtUpMs.push(ms)))
    const last = followers.at(-1)
    await pollUntil('the batch is there', () => last?.hub.room('crowd').isJoined)
  }
  await pollUntil(
    'all are in the room',
    () => followers.every(({ hub }) => hub.room('crowd').isJoined),
    60_000,
  )

  const startMs = performance.now()
  let cut = 0
  for (let n = 0; performance.now() - startMs < SECONDS * 1000; n++) {
    const dueCuts = ((performance.now() - startMs) / CUT_EVERY_MS) * CLIENTS
    // The first messages are for everybody: from there each counts.
    for (; n > 20 && cut < dueCuts; cut++) followers[Math.floor(Math.random() * CLIENTS)]?.drop()
    said.last = n
    await writer.publish('crowd', n)
    const restMs = startMs + (n + 1) * EVERY_MS - performance.now()
    if (restMs > 0) await pace(restMs)
  }
  const all = () => followers.every(({ next }) => next === said.last + 1)
  await pollUntil('all have all', all, 60_000).catch(() => {})
  const missing = followers.reduce((sum, { next = 0 }) => sum + said.last + 1 - next, 0)
  const faults = followers.reduce((sum, one) => sum + one.faults, 0)
  const returns = followers.reduce((sum, one) => sum + one.returns, 0)
  t.equal(missing, 0, `${missing} of ${CLIENTS * (said.last + 1)} deliveries are missing`)
  t.equal(faults, 0, 'each once, in their order')
  t.ok(returns > 0, `${returns} returns`)
  const p99 = quantile(caughtUpMs, 0.99)
  t.comment(
    `${said.last + 1} messages, ${returns} returns; caught up after p50 ${Math.round(quantile(caughtUpMs, 0.5))} ms, ` +
      `p99 ${Math.round(p99)} ms`,
  )
})
