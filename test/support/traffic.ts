// Numbered messages between two nodes on a steady beat, and what became of each of them.
import type { Test } from 'tap'
import { type Client, connect, type Envelope } from './client.ts'
import { ask, quantile } from './crowd.ts'
import type { Server } from './server.ts'
import { pace, pollUntil } from './until.ts'

/** The two nodes, by index. */
export type Side = 0 | 1
const sides: readonly Side[] = [0, 1]
/** A test that was held up itself does not make up for more than this. */
const MAX_BURST = 20
/** By then heaps and caches have found their sizes. */
const WARM_UP_MS = 1500

export interface TrafficOptions {
  room?: string
  everyMs?: number
  /** Bytes added to each message. */
  padBytes?: number
  /** The nodes with a sender. */
  from?: readonly Side[]
}

interface Arrival {
  n: number
  atMs: number
}

/** Per node a sender and a member in one room. All times are of this process's performance.now(). */
export class Traffic {
  /** When each number was sent, by the sender's side. */
  readonly sentAtMs: [number[], number[]] = [[], []]
  /** The scope of each ack, by the sender's side. */
  readonly scopes: [(string | undefined)[], (string | undefined)[]] = [[], []]
  readonly senders: [Client, Client]
  readonly members: [Client, Client]
  /** What the member of a side has got from the sender of a side. */
  readonly #arrivals: [[Arrival[], Arrival[]], [Arrival[], Arrival[]]] = [
    [[], []],
    [[], []],
  ]
  readonly #room: string
  readonly #pad: string
  readonly #everyMs: number
  readonly #from: readonly Side[]
  #timers: NodeJS.Timeout[] = []

  static async start(
    t: Test,
    nodes: readonly [Server, Server],
    options: TrafficOptions = {},
  ): Promise<Traffic> {
    const { room = 'r' } = options
    const enter = async (node: Server, user: string) => {
      const client = await connect(node, user, {}, { record: false })
      t.teardown(() => client.socket.destroy())
      await ask(client, { type: 'join', room })
      return client
    }
    const [first, second] = nodes
    const senders: [Client, Client] = [await enter(first, 's0'), await enter(second, 's1')]
    const members: [Client, Client] = [await enter(first, 'm0'), await enter(second, 'm1')]
    const traffic = new Traffic(senders, members, options)
    t.teardown(() => traffic.#stop())
    for (const side of traffic.#from) traffic.#beat(side)
    return traffic
  }

  constructor(senders: [Client, Client], members: [Client, Client], options: TrafficOptions) {
    const { room = 'r', everyMs = 100, padBytes = 0, from = sides } = options
    this.senders = senders
    this.members = members
    this.#room = room
    this.#pad = 'x'.repeat(padBytes)
    this.#everyMs = everyMs
    this.#from = from
    for (const side of sides) {
      members[side].onEnvelope = (envelope) => this.#read(side, envelope)
      senders[side].onEnvelope = ({ type, id, scope }) => {
        if (type === 'ack') this.scopes[side][Number(id)] = String(scope)
      }
    }
  }

  #read(side: Side, { type, room, content, from }: Envelope): void {
    if (type !== 'message' || room !== this.#room) return
    const user = (from as { user: string }).user
    if (user !== 's0' && user !== 's1') return
    const { n } = content as { n: number }
    this.#arrivals[user === 's0' ? 0 : 1][side].push({ n, atMs: performance.now() })
  }

  #beat(side: Side): void {
    const startMs = performance.now()
    let beats = 0
    const onTick = () => {
      const due = Math.floor((performance.now() - startMs) / this.#everyMs)
      for (let i = Math.max(beats, due - MAX_BURST); i < due; i++) this.send(side)
      beats = due
    }
    this.#timers.push(setInterval(onTick, Math.max(1, this.#everyMs / 2)))
  }

  /** One message more, at once. */
  send(side: Side): number {
    const n = this.sentAtMs[side].length
    this.sentAtMs[side].push(performance.now())
    this.senders[side].send({ type: 'message', room: this.#room, id: n, content: { n, pad: this.#pad } })
    return n
  }

  /** Resolves when that many more have been sent. */
  async beats(count: number): Promise<void> {
    const marks = sides.map((side) => this.sentAtMs[side].length)
    const isThere = (side: Side) => this.sentAtMs[side].length >= (marks[side] ?? 0) + count
    await pollUntil(`${count} messages`, () => sides.some(isThere), 60_000)
  }

  /** Resolves when messages cross in both directions, and enough have been sent to know what is normal. */
  async flows(): Promise<void> {
    const startMs = performance.now()
    await Promise.all(this.#from.map((side) => this.crosses(side, startMs, () => 10_000)))
    await this.beats(Math.max(20, WARM_UP_MS / this.#everyMs))
  }

  /** What the member at `to` has got so far from the sender at `from`. */
  arrivals(from: Side, to: Side): readonly Arrival[] {
    return this.#arrivals[from][to]
  }

  /** The first message sent at `sinceMs` or later that has reached the other side; resolves with when it came. */
  async crosses(from: Side, sinceMs: number, boundMs: () => number): Promise<number> {
    for (;;) {
      const first = this.#firstSince(from, sinceMs)
      if (first !== undefined) return first.atMs
      if (performance.now() - sinceMs > boundMs())
        throw new Error(`no message of node ${from + 1} at the other one within ${Math.round(boundMs())} ms`)
      await pace(20)
    }
  }

  #firstSince(from: Side, sinceMs: number): Arrival | undefined {
    const arrivals = this.#arrivals[from][from === 0 ? 1 : 0]
    return arrivals.find(({ n }) => this.#sentAt(from, n) >= sinceMs)
  }

  #sentAt(from: Side, n: number): number {
    return this.sentAtMs[from][n] ?? -Infinity
  }

  /** Latencies of a side's own messages at its own member, for those sent in a time. */
  localMs(side: Side, fromMs = -Infinity, toMs = Infinity): number[] {
    return this.#arrivals[side][side].flatMap(({ n, atMs }) => {
      const sentAt = this.#sentAt(side, n)
      return sentAt >= fromMs && sentAt < toMs ? [atMs - sentAt] : []
    })
  }

  /**
   * Local delivery of what was sent in a time was as ever, on both nodes: p99 below 250 ms, or on a busy machine below
   * three times what it was before `sinceMs`, when all was well, and below a second in any case.
   */
  isLocallyFast(t: Test, fromMs: number, toMs: number, sinceMs = fromMs): void {
    for (const side of sides) {
      const latencies = this.localMs(side, fromMs, toMs)
      const p99 = Math.round(quantile(latencies, 0.99))
      const usualMs = quantile(this.localMs(side, 0, sinceMs), 0.95)
      const boundMs = Math.min(1000, Math.max(250, 3 * usualMs))
      t.ok(p99 < boundMs, `local delivery on node ${side + 1} in ${p99} ms (p99 of ${latencies.length})`)
    }
  }

  /** What was sent in a time was acked with this scope and no other. */
  wasAcked(t: Test, side: Side, scope: string, fromMs: number, toMs: number): void {
    const scopes = this.scopes[side].filter((_, n) => {
      const sentAt = this.#sentAt(side, n)
      return sentAt >= fromMs && sentAt < toMs
    })
    t.strictSame([...new Set(scopes)], [scope], `acks of node ${side + 1} say ${scope}`)
  }

  /** The age of the oldest message that reached the other side after `sinceMs`. */
  oldestAgeMs(from: Side, sinceMs: number): number {
    const ages = this.#arrivals[from][from === 0 ? 1 : 0]
      .filter(({ atMs }) => atMs >= sinceMs)
      .map(({ n, atMs }) => atMs - this.#sentAt(from, n))
    return Math.max(0, ...ages)
  }

  /** No more messages; resolves when everybody has what is on its way and every message has its ack. */
  async settle(): Promise<void> {
    this.#stop()
    await pollUntil('an ack for each message', () =>
      sides.every((side) => this.sentAtMs[side].every((_, n) => this.scopes[side][n] !== undefined)),
    )
    for (const member of this.members) await ask(member, { type: 'ping' })
    for (const from of sides) {
      const last = this.sentAtMs[from].length - 1
      if (last < 0 || this.scopes[from][last] !== 'cluster') continue
      await pollUntil('the last message at the other node', () =>
        this.#arrivals[from].every((arrivals) => arrivals.at(-1)?.n === last),
      )
    }
  }

  /**
   * After `settle`: a side's own member has every message, once and in order; the other side's too from the first
   * message on that was sent at `wholeSinceMs` or later and reached it, and nothing out of order or twice before.
   */
  verify(t: Test, wholeSinceMs: number): void {
    for (const from of sides) {
      const numbers = this.sentAtMs[from].map((_, n) => n)
      const own = this.#arrivals[from][from].map(({ n }) => n)
      t.strictSame(faults(own, 0, numbers.length), none, `node ${from + 1}'s own member has all, in order`)
      const other = this.#arrivals[from][from === 0 ? 1 : 0].map(({ n }) => n)
      const first = this.#firstSince(from, wholeSinceMs)?.n ?? numbers.length
      t.strictSame(
        faults(other, first, numbers.length),
        none,
        `the other node has all of node ${from + 1} from ${first} on, in order`,
      )
    }
  }

  #stop(): void {
    for (const timer of this.#timers.splice(0)) clearInterval(timer)
  }
}

const none = { missing: [], twice: [], disordered: [] }

/** What is wrong with the numbers read; each of `from` to `to` - 1 should be there. */
function faults(read: number[], from: number, to: number) {
  const seen = new Set<number>()
  const twice: number[] = []
  const disordered: number[] = []
  let highest = -1
  for (const n of read) {
    if (seen.has(n)) twice.push(n)
    else if (n < highest) disordered.push(n)
    seen.add(n)
    highest = Math.max(highest, n)
  }
  const missing: number[] = []
  for (let n = from; n < to; n++) if (!seen.has(n)) missing.push(n)
  return { missing, twice, disordered }
}
