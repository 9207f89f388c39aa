/** What the tabs of a group say to each other; the leader's answers have its socket's name behind the kind. */
export type TabEvents = {
  /** A tab wants a connection, another one than `after`; `url` has its token. */
  hello: [socket: string, url: string, after: string]
  /** The leader is there; what comes is of that shared socket. */
  hi: [socket: string, shared: string]
  open: [socket: string, welcome: string]
  up: [socket: string, shared: string, text: string]
  /** To all that are on it, but for one. */
  down: [shared: string, text: string, except?: string]
  end: [shared: string, code: number, reason: string]
  bye: [socket: string]
  /** A tab leads from now on. */
  lead: []
}

/** Sends to the leader, which may be this very tab. */
export type Say = <Kind extends keyof TabEvents>(kind: Kind, ...words: TabEvents[Kind]) => void

/** How a socket ends whose leader goes: the server has not gone, and the next leader is there at once. */
export const MOVED: [code: number, reason: string] = [1001, 'tab']

/** Without an answer by then the leader does not run: it is frozen, or hangs. */
const LEADER_MS = 1000

/** A WebSocket for one tab's hub: a part of the one that the leader has. */
export class TabSocket {
  onopen: (() => void) | undefined
  onmessage: ((event: { data: string }) => void) | undefined
  onclose: ((event: { code: number; reason: string }) => void) | undefined
  readyState = 0
  /** The shared one that it is on. */
  shared = ''
  readonly name: string
  readonly #say: Say
  readonly #hello: [url: string, after: string]
  readonly #onDeaf: () => void
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor(name: string, url: string, after: string, say: Say, onDeaf: () => void) {
    this.name = name
    this.#say = say
    this.#hello = [url, after]
    this.#onDeaf = onDeaf
    this.hello()
  }

  /** Asks the leader that there is now. */
  hello(): void {
    this.hi(this.shared)
    this.#timer = setTimeout(this.#onDeaf, LEADER_MS)
    // Whoever made it has not set its listeners yet.
    queueMicrotask(() => {
      if (this.readyState === 0) this.#say('hello', this.name, ...this.#hello)
    })
  }

  hi(shared: string): void {
    clearTimeout(this.#timer)
    this.shared = shared
  }

  opened(welcome: string): void {
    if (this.readyState > 0) return
    this.readyState = 1
    this.onopen?.()
    this.onmessage?.({ data: welcome })
  }

  /** Answers to others are passed over; an own one gets its id back. */
  heard(text: string): void {
    if (this.readyState !== 1) return
    let data = text
    if (!text.startsWith('{"type":"message"')) {
      const envelope = JSON.parse(text)
      const [name, id] = `${envelope.id}`.split('|')
      if (id !== undefined) {
        if (name !== this.name) return
        data = JSON.stringify({ ...envelope, id: +id })
      }
    }
    this.onmessage?.({ data })
  }

  send(text: string): void {
    this.#say('up', this.name, this.shared, text)
  }

  ended(code: number, reason: string): void {
    if (this.readyState > 1) return
    if (reason === MOVED[1]) this.heard('{"type":"closing","reconnectInMs":0}')
    this.readyState = 3
    this.onclose?.({ code, reason })
  }

  close(): void {
    if (this.readyState < 2) this.#say('bye', this.name)
    clearTimeout(this.#timer)
    this.readyState = 3
  }
}
