import { MOVED, type Say } from './tab-socket.ts'

/** The leader's socket to the server, on which sockets of all tabs are. */
export class SharedSocket {
  readonly name: string
  readonly #socket: WebSocket
  readonly #say: Say
  /** Those that are on it. */
  readonly #sockets = new Set<string>()
  /** Who is in a room, and whether it asked for presence. */
  readonly #rooms = new Map<string, Map<string, boolean>>()
  #welcome: { expiresInMs?: number; client?: string; user?: string } | undefined
  #welcomedAtMs = 0

  constructor(name: string, socket: WebSocket, say: Say, onEnd: () => void) {
    this.name = name
    this.#socket = socket
    this.#say = say
    socket.onmessage = ({ data }) => {
      if (this.#welcome !== undefined) return say('down', name, data)
      this.#welcome = JSON.parse(data)
      this.#welcomedAtMs = performance.now()
      for (const one of this.#sockets) this.#open(one)
    }
    socket.onclose = ({ code, reason }) => {
      onEnd()
      say('end', name, code, reason)
    }
    socket.onerror = () => {}
  }

  admit(socket: string): void {
    this.#sockets.add(socket)
    this.#say('hi', socket, this.name)
    if (this.#welcome !== undefined) this.#open(socket)
  }

  dismiss(isGone: (socket: string) => boolean): void {
    for (const one of this.#sockets) {
      if (!isGone(one)) continue
      this.#sockets.delete(one)
      for (const room of this.#rooms.keys()) this.#leave(one, room)
    }
    if (this.#sockets.size === 0) this.#socket.close(1000)
  }

  /** Passes on what a tab's socket sends, in the name of all. */
  send(from: string, text: string): void {
    const envelope = JSON.parse(text)
    const { type, room, content, keep, id } = envelope
    if (type === 'leave') {
      this.#leave(from, room)
      return
    }
    if (type === 'join') {
      const members = this.#rooms.get(room) ?? new Map<string, boolean>()
      this.#rooms.set(room, members.set(from, envelope.presence === true))
      // The last one's word would hold for all.
      if ([...members.values()].includes(true)) envelope.presence = true
    }
    if (keep === false) {
      // The server leaves out who said it: that is all tabs.
      const { client, user } = this.#welcome ?? {}
      const message = { type, room, content, from: { client, user }, at: Date.now() }
      this.#say('down', this.name, JSON.stringify(message), from)
    }
    if (id !== undefined) envelope.id = `${from}|${id}`
    this.#write(envelope)
  }

  close(): void {
    this.#say('end', this.name, ...MOVED)
    this.#socket.onclose = null
    this.#socket.close(1000)
  }

  #open(socket: string): void {
    const { expiresInMs } = this.#welcome ?? {}
    const leftMs = expiresInMs && Math.max(0, expiresInMs - performance.now() + this.#welcomedAtMs)
    this.#say('open', socket, JSON.stringify({ ...this.#welcome, expiresInMs: leftMs }))
  }

  #leave(socket: string, room: string): void {
    const members = this.#rooms.get(room)
    if (!members?.delete(socket) || members.size > 0) return
    this.#rooms.delete(room)
    this.#write({ type: 'leave', room })
  }

  #write(envelope: object): void {
    if (this.#socket.readyState === 1) this.#socket.send(JSON.stringify(envelope))
  }
}
