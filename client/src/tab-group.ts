import { SharedSocket } from './shared-socket.ts'
import { MOVED, type Say, type TabEvents, TabSocket } from './tab-socket.ts'

type Handlers = { [Kind in keyof TabEvents]: (...words: TabEvents[Kind]) => void }

/**
 * One tab's place among the tabs of one user at one server. One of them leads: whoever has the lock, which the browser
 * gives on when its tab is gone. The leader has the socket; all others speak through it.
 */
export class TabGroup {
  readonly name: string
  readonly #locks: LockManager
  readonly #WebSocket: new (
    url: string,
  ) => WebSocket
  readonly #channel: BroadcastChannel
  readonly #tab = Math.random().toString(36).slice(2)
  readonly #sockets = new Map<string, TabSocket>()
  /** The leader's. The newest one, which is the last, is given to who comes. */
  readonly #shared = new Map<string, SharedSocket>()
  /** Tabs whose end the leader waits for. */
  readonly #known = new Set<string>()
  readonly #releases: (() => void)[] = []
  #count = 0
  #isLeading = false
  #isEnded = false
  /** The browser keeps locks from this page, as it does where it keeps storage from it. */
  isForbidden = false
  /** Of requests for the lock, the one that counts. */
  #request = 0

  constructor(name: string, locks: LockManager, WebSocket: new (url: string) => WebSocket) {
    this.name = name
    this.#locks = locks
    this.#WebSocket = WebSocket
    this.#channel = new BroadcastChannel(name)
    this.#channel.onmessage = ({ data: [kind, words] }) => this.#hear(kind, words)
    // Held for as long as the tab lives.
    this.#hold(`${name} ${this.#tab}`, {}, () => true).catch(() => {})
    this.#stand()
  }

  /** A socket of this tab, another one than it had last. */
  open(url: string, after: string): TabSocket {
    const name = `${this.#tab} ${++this.#count}`
    const socket = new TabSocket(name, url, after, this.#say, () => this.#stand(true))
    this.#sockets.set(name, socket)
    return socket
  }

  /** The tab goes, or has another user. */
  end(): void {
    this.#retire()
    this.#isEnded = true
    for (const release of this.#releases) release()
    this.#channel.close()
  }

  /** Until the tab's end, unless `isWanted` says that it is too late. */
  #hold(name: string, options: LockOptions, isWanted: () => boolean): Promise<void> {
    return this.#locks.request(name, options, () => {
      if (this.#isEnded || !isWanted()) return
      return new Promise<void>((resolve) => this.#releases.push(resolve))
    })
  }

  /** Waits for the lead, or takes it from one that does not run. */
  #stand(steal = false): void {
    if (this.#isLeading) return
    const request = ++this.#request
    const isNewest = () => request === this.#request
    const lead = () => {
      if (isNewest()) {
        this.#isLeading = true
        this.#say('lead')
      }
      return isNewest()
    }
    this.#hold(this.name, { steal }, lead).catch(() => {
      if (!isNewest()) return
      if (this.#isLeading) {
        // Taken away.
        this.#retire()
        this.#stand()
      } else {
        this.isForbidden = true
        for (const socket of this.#sockets.values()) this.#lose(socket, ...MOVED)
      }
    })
  }

  #retire(): void {
    this.#isLeading = false
    for (const shared of this.#shared.values()) shared.close()
    this.#shared.clear()
    this.#known.clear()
  }

  /** To all tabs, this one too. */
  readonly #say: Say = (kind, ...words) => {
    if (!this.#isEnded) this.#channel.postMessage([kind, words])
    this.#hear(kind, words)
  }

  #hear<Kind extends keyof TabEvents>(kind: Kind, words: TabEvents[Kind]): void {
    ;(this.#handlers[kind] as (...words: TabEvents[Kind]) => void)?.(...words)
  }

  readonly #handlers: Handlers = {
    // The leader's.
    hello: (socket, url, after) => {
      if (!this.#isLeading) return
      this.#watch(socket)
      const newest = [...this.#shared.values()].at(-1)
      ;(newest === undefined || newest.name === after ? this.#dial(url) : newest).admit(socket)
    },
    up: (socket, shared, text) => this.#shared.get(shared)?.send(socket, text),
    bye: (socket) => {
      this.#sockets.delete(socket)
      for (const shared of this.#shared.values()) shared.dismiss((one) => one === socket)
    },
    // Each tab's.
    hi: (socket, shared) => this.#sockets.get(socket)?.hi(shared),
    open: (socket, welcome) => this.#sockets.get(socket)?.opened(welcome),
    down: (shared, text, except) => {
      for (const socket of this.#sockets.values())
        if (socket.shared === shared && socket.name !== except) socket.heard(text)
    },
    end: (shared, code, reason) => {
      for (const socket of this.#sockets.values())
        if (socket.shared === shared) this.#lose(socket, code, reason)
    },
    lead: () => {
      for (const socket of this.#sockets.values()) {
        if (socket.readyState === 0) socket.hello()
        else this.#lose(socket, ...MOVED)
      }
    },
  }

  #lose(socket: TabSocket, code: number, reason: string): void {
    this.#sockets.delete(socket.name)
    socket.ended(code, reason)
  }

  #dial(url: string): SharedSocket {
    const name = `${this.#tab} ${++this.#count}`
    const shared = new SharedSocket(name, new this.#WebSocket(url), this.#say, () =>
      this.#shared.delete(name),
    )
    this.#shared.set(name, shared)
    return shared
  }

  /** A tab that is gone says nothing; but its lock is free. */
  #watch(socket: string): void {
    const [tab = ''] = socket.split(' ')
    if (tab === this.#tab || this.#known.has(tab)) return
    this.#known.add(tab)
    void this.#locks.request(`${this.name} ${tab}`, () => {
      this.#known.delete(tab)
      for (const shared of this.#shared.values()) shared.dismiss((one) => one.startsWith(`${tab} `))
    })
  }
}
