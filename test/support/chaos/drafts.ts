import type { Envelope } from '../client.ts'
import { contentWith } from './story.ts'

/** A message is given up after so many. */
const MAX_TRIES = 5

/** A message that a person sends, and may have to send again. */
export interface Draft {
  mid: string
  room: string | undefined
  /** The content behind its id. */
  rest: string
  echo: boolean
  key: string | undefined
}

/** What a person has sent, until it is settled; what has a key is sent again, as docs/PROTOCOL.md says when. */
export class Drafts {
  readonly #send: (text: string) => void
  /** Sent on this connection, by request id. */
  readonly #unacked = new Map<string, Draft>()
  /** Without an answer when the connection was lost, or refused. */
  #again: Draft[] = []
  /** Acked `node`. */
  #local: Draft[] = []
  readonly #tries = new Map<Draft, number>()
  #ids = 0

  constructor(send: (text: string) => void) {
    this.#send = send
  }

  get isAnswered(): boolean {
    return this.#unacked.size === 0
  }

  publish(draft: Draft): void {
    const tries = (this.#tries.get(draft) ?? 0) + 1
    if (tries > MAX_TRIES) return
    this.#tries.set(draft, tries)
    const { mid, room, rest, echo, key } = draft
    const id = `m${++this.#ids}`
    const head = JSON.stringify({ type: 'message', id, room, key, ...(echo && { echo }) })
    this.#unacked.set(id, draft)
    this.#send(`${head.slice(0, -1)},"content":${contentWith(mid, rest)}}`)
  }

  /** What got no answer goes again. */
  onJoined(room: string): void {
    for (const draft of this.#take('again', (draft) => (draft.room ?? room) === room)) this.publish(draft)
  }

  /** With `cluster` the others hear again, so what they did not get goes again. */
  onAck({ id, scope }: Envelope, isIn: (room: string) => boolean): void {
    const draft = this.#settle(id)
    if (draft?.key !== undefined && scope === 'node') this.#local.push(draft)
    if (scope !== 'cluster') return
    const due = this.#take('local', ({ room }) => room === undefined || isIn(room))
    for (const one of due) this.publish(one)
  }

  /** Returns whether it was one of these that was refused. */
  onError({ id }: Envelope): boolean {
    const draft = this.#settle(id)
    if (draft?.key !== undefined) this.#again.push(draft)
    return draft !== undefined
  }

  onEnd(): void {
    this.#again.push(...[...this.#unacked.values()].filter(({ key }) => key !== undefined))
    this.#unacked.clear()
  }

  #settle(id: unknown): Draft | undefined {
    const draft = this.#unacked.get(String(id))
    this.#unacked.delete(String(id))
    return draft
  }

  #take(from: 'again' | 'local', isDue: (draft: Draft) => boolean): Draft[] {
    const all = from === 'again' ? this.#again : this.#local
    const others = all.filter((draft) => !isDue(draft))
    if (from === 'again') this.#again = others
    else this.#local = others
    return all.filter(isDue)
  }
}
