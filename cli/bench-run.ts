import WebSocket from 'ws'
import { Failure } from './failure.ts'

export interface BenchOptions {
  url: string
  /** A token for the n-th client. */
  tokenFor(index: number): string
  rooms: number
  /** In each room. */
  members: number
  /** Messages a second, in all rooms together. */
  rate: number
  /** Bytes of text in each. */
  size: number
  seconds: number
  keep: boolean
  prefix: string
}

/** What stands of a run, also while it goes on. Milliseconds from a publish until it is delivered, and until its ack. */
export interface BenchState {
  phase: 'connecting' | 'publishing' | 'draining'
  connected: number
  clients: number
  published: number
  acked: number
  /** Deliveries that were due, and those that came. */
  due: number
  delivered: number
  refused: number
  cut: number
  latencies: Latencies
  acks: Latencies
}

const BATCH = 50
const STEP_MS = 10
/** What is under way at the end may take so long, as long as it goes on coming. */
const DRAIN_MS = 5000

/** Counts of latencies, exact to 3 %: a run may have millions of them. */
export class Latencies {
  readonly #counts = new Map<number, number>()
  count = 0
  max = 0

  add(ms: number): void {
    const bucket = ms <= 0.01 ? 0 : Math.ceil(Math.log(ms / 0.01) / Math.log(1.03))
    this.#counts.set(bucket, (this.#counts.get(bucket) ?? 0) + 1)
    this.count++
    if (ms > this.max) this.max = ms
  }

  /** Milliseconds that so many of a hundred took at most; 0 without any. */
  percentile(hundredths: number): number {
    let left = Math.ceil((this.count * hundredths) / 100)
    for (const bucket of [...this.#counts.keys()].sort((a, b) => a - b)) {
      left -= this.#counts.get(bucket) ?? 0
      if (left <= 0) return Math.min(0.01 * 1.03 ** bucket, this.max)
    }
    return 0
  }
}

/** A load against any roomcast: members in rooms, one of each room publishes. `signal` ends it early. */
export class BenchRun {
  readonly state: BenchState
  readonly #options: BenchOptions
  /** By room. */
  readonly #publishers: WebSocket[] = []
  readonly #sockets: WebSocket[] = []
  /** When each message was sent that has no ack yet, by its id. */
  readonly #sentAt = new Map<number, number>()
  #isOver = false

  constructor(options: BenchOptions) {
    this.#options = options
    const clients = options.rooms * options.members
    const counts = { connected: 0, published: 0, acked: 0, due: 0, delivered: 0, refused: 0, cut: 0 }
    this.state = {
      phase: 'connecting',
      clients,
      ...counts,
      latencies: new Latencies(),
      acks: new Latencies(),
    }
  }

  /** Resolves when all is sent and has come, or is lost; rejects with Failure when the clients cannot connect. */
  async run(signal: AbortSignal): Promise<void> {
    try {
      await this.#connect(signal)
      this.state.phase = 'publishing'
      await this.#publish(signal)
      this.state.phase = 'draining'
      await this.#drain(signal)
    } finally {
      this.#isOver = true
      for (const socket of this.#sockets) socket.terminate()
    }
  }

  async #connect(signal: AbortSignal): Promise<void> {
    const { clients } = this.state
    for (let from = 0; from < clients && !signal.aborted; from += BATCH) {
      const indices = Array.from({ length: Math.min(BATCH, clients - from) }, (_, at) => from + at)
      await Promise.all(indices.map((index) => this.#join(index)))
    }
  }

  async #join(index: number): Promise<void> {
    const { url, tokenFor, members, rooms, prefix } = this.#options
    const room = `${prefix}${index % rooms}`
    const socket = new WebSocket(
      `${url.replace('http', 'ws')}/ws`,
      ['roomcast.v1', `bearer.${tokenFor(index)}`],
      {
        perMessageDeflate: false,
      },
    )
    this.#sockets.push(socket)
    const joined = new Promise<void>((resolve, reject) => {
      socket.on('message', (data) => this.#onMessage(String(data), resolve, reject))
      socket.on('error', (error) =>
        reject(new Failure(`client ${index + 1} cannot connect: ${error.message}`)),
      )
      socket.on('close', (code) => {
        if (!this.#isOver) this.state.cut++
        reject(new Failure(`client ${index + 1} was closed with ${code}`))
      })
    })
    joined.catch(() => {})
    socket.on('open', () => socket.send(JSON.stringify({ type: 'join', room })))
    await joined
    this.state.connected++
    // The last of each room publishes: it is not among those that a message is due to.
    if (index >= rooms * (members - 1)) this.#publishers[index % rooms] = socket
  }

  #onMessage(text: string, joined: () => void, refused: (error: Failure) => void): void {
    const { state } = this
    const { type, content, id, message } = JSON.parse(text) as {
      type: string
      content?: [sentAt: number, padding: string]
      id?: number
      message?: string
    }
    if (type === 'message' && Array.isArray(content)) {
      state.delivered++
      state.latencies.add(performance.now() - content[0])
    } else if (type === 'ack' && id !== undefined) {
      state.acked++
      state.acks.add(performance.now() - (this.#sentAt.get(id) ?? 0))
      this.#sentAt.delete(id)
    } else if (type === 'joined') joined()
    else if (type === 'error' && id === undefined) refused(new Failure(`a join is refused: ${message}`))
    else if (type === 'error') {
      state.refused++
      state.due -= this.#options.members - 1
    }
  }

  async #publish(signal: AbortSignal): Promise<void> {
    const { rate, seconds, size, keep, rooms, members, prefix } = this.#options
    const padding = 'x'.repeat(size)
    const startMs = performance.now()
    const { state } = this
    while (!signal.aborted && performance.now() - startMs < seconds * 1000) {
      const wanted = Math.floor(((performance.now() - startMs) / 1000) * rate)
      while (state.published < wanted) {
        const id = state.published++
        const socket = this.#publishers[id % rooms]
        const room = `${prefix}${id % rooms}`
        const now = performance.now()
        this.#sentAt.set(id, now)
        state.due += members - 1
        socket?.send(
          JSON.stringify({ type: 'message', room, id, content: [now, padding], ...(!keep && { keep }) }),
        )
      }
      await new Promise((resolve) => setTimeout(resolve, STEP_MS))
    }
  }

  async #drain(signal: AbortSignal): Promise<void> {
    const { state } = this
    let seen = -1
    let lastMs = performance.now()
    while (
      !signal.aborted &&
      (state.delivered < state.due || state.acked + state.refused < state.published)
    ) {
      if (state.delivered + state.acked !== seen) lastMs = performance.now()
      else if (performance.now() - lastMs > DRAIN_MS) return
      seen = state.delivered + state.acked
      await new Promise((resolve) => setTimeout(resolve, STEP_MS))
    }
  }
}
