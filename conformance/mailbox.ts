import { Failure } from './check.ts'
import { shown } from './expect.ts'

/** A JSON object of the protocol, which nobody has checked yet. */
export type Envelope = Record<string, unknown> & { type: string }
type Match = (envelope: Envelope) => boolean

/** Whoever speaks version 1 ignores other types. */
const known = new Set([
  ...['welcome', 'joined', 'left', 'refreshed', 'ack', 'history', 'pong', 'result', 'presence', 'member'],
  ...['message', 'reset', 'dropped', 'closing', 'error'],
])

/** The envelopes that a client has got and a check has not taken yet, in their order; waits for more, with a deadline. */
export class Mailbox {
  readonly #timeoutMs: number
  #unread: Envelope[] = []
  /** Messages without a room may be anybody's, at any time, so they are kept out of the way. */
  readonly #roomless: Envelope[] = []
  readonly #texts = new WeakMap<Envelope, string>()
  readonly #waiting = new Set<() => void>()
  /** Why no more can come. */
  #ended: string | undefined

  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs
  }

  put(text: string): void {
    let value: unknown
    try {
      value = JSON.parse(text)
    } catch {
      this.end(`no JSON came: ${shown(text)}`)
      return
    }
    const envelope = value as Envelope
    if (typeof envelope?.type !== 'string') this.end(`what came has no type: ${shown(text)}`)
    else if (known.has(envelope.type)) this.#keep(envelope, text)
  }

  #keep(envelope: Envelope, text: string): void {
    this.#texts.set(envelope, text)
    const isRoomless = envelope.type === 'message' && envelope.room === undefined
    if (isRoomless) this.#roomless.push(envelope)
    else this.#unread.push(envelope)
    this.#wake()
  }

  end(why: string): void {
    this.#ended ??= why
    this.#wake()
  }

  /** The envelope's own text. */
  textOf(envelope: Envelope): string {
    return this.#texts.get(envelope) ?? ''
  }

  /** Takes the very next envelope. */
  next(what: string): Promise<Envelope> {
    return this.#until(what, () => this.#unread.shift())
  }

  /** Takes the first envelope that matches, and leaves all others. */
  find(what: string, match: Match, timeoutMs?: number): Promise<Envelope> {
    return this.#until(what, () => takeFirst(this.#unread, match), timeoutMs)
  }

  /** Takes the first message without a room that matches. */
  findRoomless(what: string, match: Match): Promise<Envelope> {
    return this.#until(what, () => takeFirst(this.#roomless, match))
  }

  /** Takes what came before the first envelope that matches, and that one too, which is the last of the list. */
  upTo(what: string, match: Match): Promise<Envelope[]> {
    return this.#until(what, () => {
      const at = this.#unread.findIndex(match)
      return at < 0 ? undefined : this.#unread.splice(0, at + 1)
    })
  }

  #wake(): void {
    for (const look of this.#waiting) look()
  }

  #until<T>(what: string, probe: () => T | undefined, timeoutMs = this.#timeoutMs): Promise<T> {
    return new Promise((resolve, reject) => {
      const settle = (act: () => void) => {
        clearTimeout(timer)
        this.#waiting.delete(look)
        act()
      }
      const missed = (why: string) => {
        const got = this.#unread.map((envelope) => this.textOf(envelope)).join(' ')
        reject(new Failure(`${what} did not come: ${why}${got === '' ? '' : `; there was ${shown(got)}`}`))
      }
      const look = () => {
        const found = probe()
        if (found !== undefined) settle(() => resolve(found))
        else if (this.#ended !== undefined) settle(() => missed(this.#ended as string))
      }
      const timer = setTimeout(() => settle(() => missed(`nothing for ${timeoutMs} ms`)), timeoutMs)
      this.#waiting.add(look)
      look()
    })
  }
}

function takeFirst(list: Envelope[], match: Match): Envelope | undefined {
  const at = list.findIndex(match)
  return at < 0 ? undefined : list.splice(at, 1)[0]
}

/** What was said in each. */
export function contentsOf(messages: Envelope[]): unknown[] {
  return messages.map(({ content }) => content)
}
