// A client by the documents: positions, `since`, reset, keys, repeats, back-off. Every line of it is recorded.
import { type Client, connect, type Envelope } from '../client.ts'
import type { Address } from '../raw-socket.ts'
import { pace } from '../until.ts'
import type { Dice } from './dice.ts'
import { Drafts } from './drafts.ts'
import type { Life, Recording } from './recording.ts'

const BACK_OFF_MS = 100
const BACK_OFF_MAX_MS = 5000
/** A node that does not answer an upgrade by then is left. */
const CONNECT_MS = 4000
/** Nothing heard for so long, although the server pings: the connection is dead. */
export const SILENT_MS = 4000
/** A member without a position asks for one, so often. */
const ASK_MS = 1000
const FOREVER_MS = 2 ** 31 - 1

export interface Place {
  index: number
  address: Address
}

export interface PersonOptions {
  name: string
  dice: Dice
  recording: Recording
  rooms: readonly string[]
  /** Where to connect to next; undefined while there is nowhere. */
  place: () => Place | undefined
}

interface Room {
  name: string
  isJoined: boolean
  /** Whether `joined` had no position. */
  isLocal: boolean
  position: { epoch: string; offset: number } | undefined
  /** The `join` that is under way after a jump or a reset: until its answer the position stays where it is. */
  asked: string | undefined
}

/** Content that is easily altered on the way: numbers, escapes and spaces that a parser would not keep. */
const rests = [
  '"n":1.0',
  '"n":12345678901234567890',
  '"s":"\\u00e9\\/é"',
  '"a":[ 1,2 ]',
  '"b":{"b":1,"b":2}',
  '"s":"😀"',
]

export class Person {
  readonly name: string
  /** Joins again after a jump in `offset`; the others have the lines of docs/WITHOUT-CLIENT.md and no more. */
  readonly #isCareful: boolean
  readonly #options: PersonOptions
  readonly #rooms: Map<string, Room>
  readonly #drafts = new Drafts((text) => this.#send(text))
  #isWanted = true
  #client: Client | undefined
  #life: Life | undefined
  #heardAtMs = 0
  #heardBytes = 0
  #ids = 0
  #said = 0
  #reconnectInMs: number | undefined
  #attempts = 0
  /** The marks that it has got or sent; see Crowd. */
  readonly marks = new Set<string>()

  constructor(options: PersonOptions) {
    this.name = options.name
    this.#options = options
    this.#isCareful = options.dice.chance(0.6)
    this.#rooms = new Map(
      options.rooms.map((name) => [
        name,
        { name, isJoined: false, isLocal: false, position: undefined, asked: undefined },
      ]),
    )
  }

  /** Is where it wants to be, with a position in each room. */
  get isSettled(): boolean {
    return [...this.#rooms.values()].every(({ isJoined, isLocal }) => isJoined && !isLocal)
  }

  get rooms(): string[] {
    return [...this.#rooms.keys()]
  }

  /** Where it is connected. */
  get node(): number | undefined {
    return this.#life?.node
  }

  /** Whether nothing that it has sent waits for an ack. */
  get isAnswered(): boolean {
    return this.#drafts.isAnswered
  }

  /** Comes, and comes back, until `end`. */
  async live(): Promise<void> {
    while (this.#isWanted) {
      const place = this.#options.place()
      if (place !== undefined) await this.#connection(place)
      if (this.#isWanted) await pace(this.#waitMs())
    }
  }

  end(): void {
    this.#isWanted = false
    this.#client?.socket.destroy()
  }

  /** Cuts the connection without a word. */
  cut(): void {
    this.#client?.socket.destroy()
  }

  /** Does not read for a while. */
  async doze(ms: number): Promise<void> {
    const client = this.#client
    client?.socket.pause()
    await pace(ms)
    this.#heardAtMs = performance.now()
    client?.socket.resume()
  }

  /** Publishes, if it is in the room. Returns the message's id. */
  say(room: string | undefined, mark?: string): string | undefined {
    if (this.#life === undefined || (room !== undefined && this.#rooms.get(room)?.isJoined !== true)) return
    const { dice } = this.#options
    const mid = mark ?? `${this.name}-${++this.#said}`
    if (mark !== undefined) this.marks.add(mark)
    const key = dice.chance(0.4) ? `k-${mid}` : undefined
    this.#drafts.publish({ mid, room, rest: dice.pick(rests), echo: dice.chance(0.5), key })
    return mid
  }

  /** One of the smaller things that clients do. */
  stir(): void {
    const { dice } = this.#options
    const room = this.#rooms.get(dice.pick(this.rooms)) as Room
    if (!room.isJoined) return
    const kind = dice.weighted([
      { weight: 4, type: 'ping' },
      { weight: 2, type: 'history' },
      { weight: 1, type: 'join' },
      { weight: 1, type: 'leave' },
    ]).type
    if (kind === 'leave') {
      this.#onLeft(room)
      this.#request({ type: kind, room: room.name })
      this.#join(room)
    } else this.#request({ type: kind, ...(kind !== 'ping' && { room: room.name }) })
  }

  #waitMs(): number {
    const waitMs = this.#reconnectInMs ?? Math.min(BACK_OFF_MAX_MS, BACK_OFF_MS * 2 ** this.#attempts++)
    this.#reconnectInMs = undefined
    return waitMs * (0.5 + this.#options.dice.next() / 2)
  }

  /** Lives one connection through, if there is one to be had. */
  async #connection({ index, address }: Place): Promise<void> {
    const client = await connect(address, this.name, {}, { record: false, deadlineMs: CONNECT_MS }).catch(
      () => undefined,
    )
    if (!this.#isWanted) client?.socket.destroy()
    if (client === undefined || !this.#isWanted) return
    const { recording } = this.#options
    const life: Life = { n: recording.lives.length, person: this.name, node: index, lines: [] }
    recording.lives.push(life)
    life.lines.push({ atMs: performance.now(), isSent: false, text: client.text(client.welcome) })
    this.#client = client
    this.#life = life
    this.#heardAtMs = performance.now()
    client.onEnvelope = (envelope) => this.#onEnvelope(life, envelope, client.text(envelope))
    for (const room of this.#rooms.values()) this.#join(room)
    const watch = setInterval(() => this.#watch(client), ASK_MS)
    await client.socket.until('the end', () => client.socket.end ?? client.socket.tcp.destroyed, FOREVER_MS)
    clearInterval(watch)
    client.socket.destroy()
    this.#onEnd(life)
  }

  /** What a client does by its clock: it leaves a connection that is dead, and asks for a position that it lacks. */
  #watch(client: Client): void {
    const { bytesRead } = client.socket
    if (bytesRead !== this.#heardBytes) this.#heardAtMs = performance.now()
    this.#heardBytes = bytesRead
    if (performance.now() - this.#heardAtMs > SILENT_MS) client.socket.destroy()
    for (const room of this.#rooms.values()) if (room.isJoined && room.isLocal) this.#join(room)
  }

  #onEnd(life: Life): void {
    this.#client = undefined
    this.#life = undefined
    life.endMs = performance.now()
    for (const room of this.#rooms.values()) {
      room.isJoined = false
      room.asked = undefined
    }
    this.#drafts.onEnd()
  }

  #request(envelope: Record<string, unknown>): string {
    const id = `r${++this.#ids}`
    this.#send(JSON.stringify({ ...envelope, id }))
    return id
  }

  #send(text: string): void {
    this.#life?.lines.push({ atMs: performance.now(), isSent: true, text })
    this.#client?.send(text)
  }

  #join({ name, position }: Room): string {
    return this.#request({ type: 'join', room: name, ...(position && { since: position }) })
  }

  #onEnvelope(life: Life, envelope: Envelope, text: string): void {
    if (this.#life !== life) return
    life.lines.push({ atMs: performance.now(), isSent: false, text })
    const { type } = envelope
    const room = this.#rooms.get(String(envelope.room))
    if (type === 'ack') this.#drafts.onAck(envelope, (name) => this.#rooms.get(name)?.isJoined === true)
    else if (type === 'closing') this.#reconnectInMs = Number(envelope.reconnectInMs)
    else if (type === 'error') this.#onError(envelope)
    else if (room === undefined) return
    else if (type === 'message') this.#onMessage(room, envelope)
    else if (type === 'joined') this.#onJoined(room, envelope)
    else if (type === 'left') this.#onLeft(room)
    else if (type === 'reset') this.#onReset(room, envelope)
  }

  #onJoined(room: Room, { id, epoch, offset, recovered, scope }: Envelope): void {
    // A member that joins again without `since` goes on from where it is.
    const isPlain = room.isJoined && recovered === undefined && room.position !== undefined
    this.#attempts = 0
    room.isJoined = true
    room.isLocal = scope === 'node'
    if (epoch === undefined) room.position = undefined
    else if (recovered !== true && !isPlain) room.position = { epoch: String(epoch), offset: Number(offset) }
    if (room.asked === id || room.position === undefined) room.asked = undefined
    this.#drafts.onJoined(room.name)
  }

  #onLeft(room: Room): void {
    room.isJoined = false
    room.position = undefined
    room.asked = undefined
  }

  /** All join with the position from before; whoever has none takes the one that is named. */
  #onReset(room: Room, { epoch, offset }: Envelope): void {
    room.isLocal = false
    if (room.position === undefined) room.position = { epoch: String(epoch), offset: Number(offset) }
    else room.asked = this.#join(room)
  }

  #onMessage(room: Room, { offset, content }: Envelope): void {
    const { m } = content as { m: string }
    if (m.startsWith('mark')) this.marks.add(m)
    const { position } = room
    if (offset === undefined || position === undefined) return
    // The three lines of docs/WITHOUT-CLIENT.md take every offset.
    if (!this.#isCareful) position.offset = Number(offset)
    else if (room.asked !== undefined) return
    else if (Number(offset) > position.offset + 1) room.asked = this.#join(room)
    else position.offset = Number(offset)
  }

  /** A join that was refused for now is tried again, on another connection. */
  #onError(envelope: Envelope): void {
    const isDraft = this.#drafts.onError(envelope)
    if (envelope.code === 'unavailable' && !isDraft) this.cut()
  }
}
