// Many clients at once, and the figures over them.
import { type Client, type ConnectOptions, connect, type Envelope } from './client.ts'
import type { Address } from './raw-socket.ts'

/** So many at a time fit the backlog of the listener; more would wait for a SYN to be sent again. */
const AT_A_TIME = 100

/** Runs `task` for 0 to count - 1, so many at a time; the results are in order. */
export async function inBatches<T>(
  count: number,
  task: (index: number) => Promise<T>,
  atATime = AT_A_TIME,
): Promise<T[]> {
  const results: T[] = Array(count)
  let next = 0
  const worker = async () => {
    while (next < count) {
      const index = next++
      results[index] = await task(index)
    }
  }
  await Promise.all(Array.from({ length: Math.min(atATime, count) }, worker))
  return results
}

/** Connects that many clients, each of them a member of the rooms. They do not record what they read. */
export function connectCrowd(
  address: Address,
  count: number,
  rooms: string[] = [],
  options: (index: number) => ConnectOptions = () => ({}),
): Promise<Client[]> {
  return inBatches(count, async (index) => {
    const client = await connect(address, `crowd-${index}`, {}, { record: false, ...options(index) })
    for (const room of rooms) await ask(client, { type: 'join', room })
    return client
  })
}

let lastId = 0

/** A request and its reply, also of a client that does not record. */
export async function ask(client: Client, envelope: Envelope, deadlineMs?: number): Promise<Envelope> {
  const id = `ask-${++lastId}`
  let reply: Envelope | undefined
  const listener = client.onEnvelope
  client.onEnvelope = (read) => {
    listener?.(read)
    if (read.id === id) reply = read
  }
  client.send({ ...envelope, id })
  const answer = await client.socket.until(
    () => `a reply to ${envelope.type}`,
    () => {
      if (!reply && client.socket.end) throw new Error(`the connection ended (${client.socket.end})`)
      return reply
    },
    deadlineMs,
  )
  client.onEnvelope = listener
  return answer
}

/** The value below which `part` (0.99 for p99) of the values are. */
export function quantile(values: number[], part: number): number {
  const sorted = Float64Array.from(values).sort()
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0
}

/** Numbered messages: what is sent, and a member that checks what it gets. `seq` and `sentAtMs` come first. */
export interface Numbered {
  seq: number
  sentAtMs: number
  pad?: string
}

/** A large message is not parsed as a whole: a crowd would then measure itself. */
const LARGE_BYTES = 4096
const numberedHead = /^\{"type":"message",(?:"room":"([^"]*)",)?"content":\{"seq":(\d+),"sentAtMs":([\d.]+),/

export class Reader {
  readonly client: Client
  /** The numbers read, in the order read. */
  readonly seqs: number[] = []
  readonly latenciesMs: number[] = []
  /** Sum of the counts of `dropped`, by room (broadcasts under ''). */
  readonly dropped = new Map<string, number>()
  readonly #room: string | undefined

  constructor(client: Client, room: string | undefined) {
    this.client = client
    this.#room = room
    client.onEnvelope = (envelope) => this.#read(envelope)
    const { onFrame } = client.socket
    client.socket.onFrame = (frame) => {
      if (frame.payload.length < LARGE_BYTES || !this.#readLarge(frame.payload)) onFrame?.(frame)
    }
  }

  #read({ type, room, content, count }: Envelope): void {
    if (type === 'dropped') {
      const key = String(room ?? '')
      this.dropped.set(key, (this.dropped.get(key) ?? 0) + Number(count))
    }
    if (type !== 'message' || room !== this.#room) return
    const { seq, sentAtMs } = content as Numbered
    this.#count(seq, sentAtMs)
  }

  /** Whether it was a numbered message of this room; cut ones are not. */
  #readLarge(payload: Buffer): boolean {
    const head = numberedHead.exec(payload.toString('latin1', 0, 200))
    if (head === null || head[1] !== this.#room) return false
    if (payload.at(-1) !== 0x7d) throw new Error('a message was cut')
    this.#count(Number(head[2]), Number(head[3]))
    return true
  }

  #count(seq: number, sentAtMs: number): void {
    this.seqs.push(seq)
    this.latenciesMs.push(performance.now() - sentAtMs)
  }

  /** Whether the numbers rise, each at most once. */
  get isOrdered(): boolean {
    return this.seqs.every((seq, i) => i === 0 || seq > (this.seqs[i - 1] as number))
  }

  /** Waits for the message with this number. */
  async reads(seq: number, deadlineMs?: number): Promise<void> {
    await this.client.socket.until(
      () => `message ${seq}; the last one read is ${this.seqs.at(-1)}, end ${this.client.socket.end}`,
      () => this.seqs.at(-1) === seq,
      deadlineMs,
    )
  }
}
