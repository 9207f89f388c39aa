// A bridge on which all goes wrong that can go wrong between a node and its Redis, when the test says so.
import {
  type Bridge,
  type BridgeHost,
  type BridgeStatus,
  type Delivery,
  type Kept,
  noReplay,
  type Publication,
  type Published,
  type Replay,
  type ReplayRequest,
} from '../../src/bridge/bridge.ts'
import { messageHead, messageText } from '../../src/protocol/codec.ts'
import type { Position, Scope } from '../../src/protocol/envelope.ts'

/** A message's content: a number of its own. */
export interface Sent {
  n: number
  position: Position | undefined
  exclude: string | undefined
  /** Whether the channel loses it. */
  isLost: boolean
}

interface Read {
  request: ReplayRequest
  /** What Redis has answered, once it has. */
  replay: Replay | undefined
  answer: (replay: Replay) => void
}

/** One room's history, its channel to the one node that there is, and reads that take their time. */
export class UnrulyBridge implements Bridge {
  readonly room = 'r'
  readonly sent: Sent[] = []
  readonly historySize: number
  epoch = 'e0'
  /** Redis cannot be reached: publishes stay on the node, joins have no position. */
  isAway = false
  /** Redis takes what comes, and the node does not know it: its members get it early. */
  isSilent = false
  /** The channel loses what is published. */
  isDeaf = false
  /** Answers come at once, in the same turn. */
  isPrompt = false
  #epochs = 0
  #history: string[] = []
  #offset = 0
  #wire: (Delivery & { position: Position })[] = []
  #reads: Read[] = []
  #host: BridgeHost | undefined

  constructor(historySize: number) {
    this.historySize = historySize
  }

  get end(): Position {
    return { epoch: this.epoch, offset: this.#offset }
  }

  /** Reads that wait for their answers. */
  get reads(): number {
    return this.#reads.length
  }

  get isQuiet(): boolean {
    return this.#wire.length === 0 && this.#reads.length === 0
  }

  start(host: BridgeHost): void {
    this.#host = host
  }

  async whenUp(): Promise<void> {}

  /** Another node publishes. */
  publishElsewhere(): void {
    const n = this.sent.length
    const head = messageHead(this.room, String(n), { client: 'elsewhere', user: 'u' }, n)
    this.#append(n, head, undefined)
  }

  publish({ head, exclude }: Publication): Promise<Published> {
    const n = JSON.parse(`${head}}`).content as number
    if (this.isAway) {
      this.sent.push({ n, position: undefined, exclude, isLost: true })
      this.#early(head, exclude)
      return Promise.resolve({ scope: 'node' })
    }
    const { offset } = this.#append(n, head, exclude)
    if (this.isSilent) this.#early(head, exclude)
    return Promise.resolve(this.isSilent ? { scope: 'node' } : { scope: 'cluster', offset })
  }

  #early(head: string, exclude: string | undefined): void {
    const text = messageText(head, undefined)
    this.#host?.deliver(this.room, [{ text, exclude, position: undefined, isEarly: true }])
  }

  #append(n: number, head: string, exclude: string | undefined): Position {
    this.#offset++
    const position = this.end
    const text = messageText(head, this.#offset)
    this.#history.push(text)
    if (this.#history.length > this.historySize) this.#history.shift()
    this.sent.push({ n, position, exclude, isLost: this.isDeaf })
    if (!this.isDeaf) this.#wire.push({ text: n % 2 ? text : Buffer.from(text), exclude, position })
    return position
  }

  /** All is lost. */
  flush(): void {
    this.epoch = `e${++this.#epochs}`
    this.#offset = 0
    this.#history = []
  }

  /** The channel brings up to `count` messages, together. */
  bring(count: number): void {
    const deliveries = this.#wire.splice(0, count)
    if (deliveries.length > 0) this.#host?.deliver(this.room, deliveries)
  }

  /** Two messages of one epoch that are under way change places. */
  swap(): void {
    const [first, second] = this.#wire
    if (first === undefined || second?.position.epoch !== first.position.epoch) return
    this.#wire.splice(0, 2, second, first)
  }

  /** Redis answers the reads that wait; the answers are still to come. */
  serve(): void {
    for (const read of this.#reads) read.replay ??= this.#replay(read.request)
  }

  /** The first read's answer comes. */
  answer(): void {
    const read = this.#reads.shift()
    read?.answer(read.replay ?? this.#replay(read.request))
  }

  /** The last read's answer comes, ahead of the others: it went over another connection. */
  answerLast(): void {
    const read = this.#reads.pop()
    read?.answer(read.replay ?? this.#replay(read.request))
  }

  /** The first read fails; returns whether there was one. */
  fail(): boolean {
    const read = this.#reads.shift()
    read?.answer(noReplay)
    return read !== undefined
  }

  subscribe(): Scope | Promise<Scope> {
    const scope = this.isAway ? 'node' : 'cluster'
    return this.isPrompt ? scope : Promise.resolve(scope)
  }

  unsubscribe(): void {}

  replay(_room: string, request: ReplayRequest): Replay | Promise<Replay> {
    if (this.isPrompt) return this.#replay(request)
    return new Promise((resolve) => this.#reads.push({ request, replay: undefined, answer: resolve }))
  }

  #replay({ since, limit }: ReplayRequest): Replay {
    if (this.isAway) return noReplay
    const position = this.end
    const first = position.offset - this.#history.length
    if (since === undefined)
      return { position, isComplete: false, messages: limit === 0 ? [] : this.#history.slice(-limit) }
    if (since.epoch !== position.epoch || since.offset > position.offset || since.offset < first)
      return { position, isComplete: false, messages: [] }
    const missed = this.#history.slice(since.offset - first)
    return { position, isComplete: missed.length <= limit, messages: missed.slice(0, limit) }
  }

  tell(): Scope {
    return this.isAway ? 'node' : 'cluster'
  }

  others(): string[] {
    return []
  }

  keep(): Kept {
    return this.isAway ? 'unreachable' : 'kept'
  }

  async readNotes(): Promise<undefined> {}

  status(): BridgeStatus {
    return { kind: 'redis', state: this.isAway ? 'down' : 'up' }
  }

  cluster(): undefined {
    return undefined
  }

  async close(): Promise<void> {}
}
