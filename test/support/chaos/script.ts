// A recording written by hand, for what takes a Redis in trouble to happen.
import { type Fault, type Life, newRecording, type Recording } from './recording.ts'
import { contentWith } from './story.ts'

const LINE_MS = 10
const REST = '"n":1.0'

/** Persons by their letters, each with a connection at node 0 unless said otherwise; all in the room `r`. */
export class Script {
  readonly recording: Recording = newRecording(0, 'single')
  readonly #lives = new Map<string, Life>()
  readonly #heads = new Map<string, string>()
  #ms = 0
  #ids = 0

  constructor() {
    this.recording.wholeMs = 0
  }

  /** A new connection. */
  connects(person: string, node = 0): this {
    const before = this.#lives.get(person)
    if (before !== undefined) before.endMs = this.#ms
    const life: Life = { n: this.recording.lives.length, person, node, lines: [] }
    this.#lives.set(person, life)
    this.recording.lives.push(life)
    return this.#line(person, false, {
      type: 'welcome',
      client: `c${life.n}`,
      user: person,
      node: `node ${node}`,
    })
  }

  /** Joins, with a position or not, and is answered. */
  joins(person: string, answer: object, since?: object): this {
    const id = `j${++this.#ids}`
    this.#line(person, true, { type: 'join', id, room: 'r', since })
    return this.gets(person, { type: 'joined', id, room: 'r', ...answer })
  }

  /** Publishes, and is answered, if at all, by this ack. */
  says(person: string, mid: string, ack?: object, more: object = {}): this {
    const id = `m${++this.#ids}`
    const head = JSON.stringify({ type: 'message', id, room: 'r', ...more }).slice(0, -1)
    this.#text(person, true, `${head},"content":${contentWith(mid, REST)}}`)
    const client = `c${this.#life(person).n}`
    const from = JSON.stringify({ client, user: person })
    this.#heads.set(
      mid,
      `{"type":"message","room":"r","content":${contentWith(mid, REST)},"from":${from},"at":1`,
    )
    return ack === undefined ? this : this.gets(person, { type: 'ack', id, room: 'r', ...ack })
  }

  /** Is delivered a message, as it was last sent. */
  hears(person: string, mid: string, offset?: number): this {
    return this.#text(
      person,
      false,
      `${this.#heads.get(mid)}${offset === undefined ? '' : `,"offset":${offset}`}}`,
    )
  }

  gets(person: string, envelope: object): this {
    return this.#line(person, false, envelope)
  }

  /** Time passes. */
  rests(ms: number): this {
    this.#ms += ms
    return this
  }

  /** A fault of everything from now on, for so long. */
  suffers(forMs: number, more: Partial<Fault> = {}): this {
    const [startMs, endMs] = [this.#ms, this.#ms + forMs]
    const fault = { kind: 'fault', detail: '', nodes: undefined, isLossy: false, startMs, endMs }
    this.recording.faults.push({ ...fault, ...more })
    return this
  }

  #life(person: string): Life {
    const life = this.#lives.get(person)
    if (life === undefined) throw new Error(`${person} is not connected`)
    return life
  }

  #line(person: string, isSent: boolean, envelope: object): this {
    return this.#text(person, isSent, JSON.stringify(envelope))
  }

  #text(person: string, isSent: boolean, text: string): this {
    this.#ms += LINE_MS
    this.#life(person).lines.push({ atMs: this.#ms, isSent, text })
    return this
  }
}
