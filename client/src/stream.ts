import type { FromClient, Position, ToClient } from '../../src/protocol/wire.ts'
import type { End } from './back-off.ts'
import type { Link, LinkEvents } from './link.ts'
import type { Platform } from './platform.ts'

type Join = Extract<FromClient, { type: 'join' }>
type Publish = Extract<FromClient, { type: 'message' }>

/** What one stream may have, as the server counts (docs/PROTOCOL.md). */
const ROOMS = 32
/** A publish by HTTP that has no answer by then is in doubt. */
const POST_MS = 10_000
/** Parts of the ping interval between which silence is usual: a comment comes each interval, and is asked for before. */
const QUIET = [0.7, 1.1] as const

/**
 * Opens an event stream where no WebSocket gets through: rooms are asked for in its address, so a change of them is another
 * stream, which goes on from the positions of the one before. What is published goes by the HTTP API.
 */
export function openStream(address: string, platform: Platform, events: LinkEvents): Link {
  const link = new Stream(new URL(address), platform, events)
  // The rooms are named before the first stream is asked for.
  queueMicrotask(() => events.open())
  return link
}

class Stream implements Link {
  readonly kind = 'stream'
  readonly #url: URL
  readonly #platform: Platform
  readonly #events: LinkEvents
  readonly #joins = new Map<string, Join>()
  readonly #positions = new Map<string, Position>()
  #request = new AbortController()
  readonly #over = new AbortController()
  #aliveAtMs = 0
  #intervalMs = 0
  #isDue = false
  #isOver = false
  #isClosing = false
  #client = ''
  /** One publish after the other, so that they keep their order. */
  #posts: Promise<void> = Promise.resolve()

  constructor(url: URL, platform: Platform, events: LinkEvents) {
    this.#url = url
    this.#platform = platform
    this.#events = events
    this.#openSoon()
  }

  send(text: string): void {
    const request = JSON.parse(text) as FromClient
    const { type } = request
    if (type === 'join') {
      const { room, since } = request
      if (this.#joins.size >= ROOMS && !this.#joins.has(room)) {
        this.#refuse(request.id, `an event stream has ${ROOMS} rooms`, 'room_limit')
        return
      }
      this.#joins.set(room, request)
      if (since !== undefined) this.#positions.set(room, since)
      this.#openSoon()
    } else if (type === 'leave') {
      this.#joins.delete(request.room)
      this.#positions.delete(request.room)
      this.#openSoon()
    } else if (type === 'message') this.#posts = this.#posts.then(() => this.#post(request))
    else if (type === 'ping') this.#prove()
    else this.#refuse(request.id, `no ${type} over an event stream`)
  }

  close(): void {
    this.#isOver = true
    this.#request.abort()
    this.#over.abort()
  }

  /** A stream cannot be asked. A page that woke up wants to know all the same: what the next one says is a sign of life. */
  #prove(): void {
    const quietMs = this.#platform.now() - this.#aliveAtMs
    const [from, to] = QUIET
    if (quietMs < from * this.#intervalMs || quietMs > to * this.#intervalMs) this.#openSoon()
  }

  /** All rooms that are asked for at one time share a stream. */
  #openSoon(): void {
    if (this.#isDue) return
    this.#isDue = true
    this.#platform.setTimeout(() => {
      this.#isDue = false
      if (this.#isOver) return
      this.#request.abort()
      this.#request = new AbortController()
      void this.#read(this.#request.signal)
    }, 0)
  }

  #address(): string {
    const url = new URL(this.#url)
    let last = 0
    for (const [room, join] of this.#joins) {
      url.searchParams.append('room', room)
      last = Math.max(last, join.last ?? 0)
      if (join.presence) url.searchParams.set('presence', 'true')
    }
    if (last > 0) url.searchParams.set('last', String(last))
    const positions = [...this.#positions].map(([room, { epoch, offset }]) => [room, epoch, offset])
    const bytes = String.fromCharCode(...new TextEncoder().encode(JSON.stringify(positions)))
    const since = btoa(bytes).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')
    if (positions.length > 0) url.searchParams.set('since', since)
    return url.href
  }

  async #read(signal: AbortSignal): Promise<void> {
    let end: End = { code: 1006, reason: 'the stream ended' }
    try {
      const headers = { accept: 'text/event-stream' }
      const answer = await this.#platform.fetch?.(this.#address(), { signal, headers, cache: 'no-store' })
      if (answer?.status !== 200 || answer.body === null) end = refusalOf(answer)
      else await this.#take(answer.body)
    } catch (error) {
      end = { code: 1006, reason: String(error) }
    }
    // Another stream has taken its place.
    if (signal.aborted || this.#isOver) return
    this.close()
    this.#events.end(this.#isClosing ? { code: 1001, reason: '' } : end)
  }

  async #take(body: ReadableStream<Uint8Array>): Promise<void> {
    const reader = body
      .pipeThrough(new TextDecoderStream() as never)
      .getReader() as ReadableStreamDefaultReader<string>
    let rest = ''
    for (;;) {
      const { value, done } = await reader.read()
      if (done) return
      const lines = (rest + value).split('\n')
      rest = lines.pop() ?? ''
      this.#aliveAtMs = this.#platform.now()
      this.#events.alive()
      for (const line of lines) if (line.startsWith('data:')) this.#hear(JSON.parse(line.slice(5)))
    }
  }

  #hear(envelope: ToClient): void {
    if (this.#isOver) return
    const room = 'room' in envelope ? envelope.room : undefined
    if (envelope.type === 'welcome') {
      this.#client = envelope.client
      this.#intervalMs = envelope.pingIntervalMs
    }
    if (envelope.type === 'closing') this.#isClosing = true
    const { type } = envelope
    if (room === undefined) {
      this.#events.envelope(envelope)
      return
    }
    if (type === 'joined' && !envelope.recovered) this.#move(room, envelope.epoch, envelope.offset)
    else if (type === 'reset') this.#move(room, envelope.epoch, envelope.offset)
    else if (type === 'message') this.#move(room, this.#positions.get(room)?.epoch, envelope.offset)
    const join = type === 'joined' || type === 'error' ? this.#joins.get(room) : undefined
    const { id } = join ?? {}
    // Its answer, once; the next stream's is nobody's.
    if (join !== undefined) this.#joins.set(room, { ...(join as Join), id: undefined } as unknown as Join)
    this.#events.envelope(id === undefined ? envelope : ({ ...envelope, id } as ToClient))
  }

  #move(room: string, epoch: string | undefined, offset: number | undefined): void {
    if (epoch !== undefined && offset !== undefined) this.#positions.set(room, { epoch, offset })
  }

  async #post({ id, room = '', content, key, keep }: Publish): Promise<void> {
    if (this.#isOver) return
    const url = new URL(this.#url)
    const token = url.searchParams.get('token') ?? ''
    url.search = ''
    url.pathname = url.pathname.replace(/sse$/, `api/v1/rooms/${encodeURIComponent(room)}/messages`)
    const body = JSON.stringify({ content, key, ...(keep === false && { keep, exclude: this.#client }) })
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
    const timer = this.#platform.setTimeout(() => this.#fail(), POST_MS)
    const { signal } = this.#over
    try {
      const answer = await this.#platform.fetch?.(url.href, { method: 'POST', headers, body, signal })
      const said = (await answer?.json()) as { code?: string; detail?: string }
      if (answer?.ok) this.#answer({ type: 'ack', id, room, ...said })
      else if (answer?.status === 404) this.#refuse(id, 'the server has no HTTP API to publish by')
      else {
        const retryAfterMs = Number(answer?.headers.get('retry-after') ?? 0) * 1000 || undefined
        this.#answer({ type: 'error', id, room, code: said.code, message: said.detail, retryAfterMs })
      }
    } catch {
      this.#fail()
    } finally {
      this.#platform.clearTimeout(timer)
    }
  }

  /** What is in doubt is sent again on the next connection, with its key. */
  #fail(): void {
    if (this.#isOver) return
    this.close()
    this.#events.end({ code: 1006, reason: 'the network failed' })
  }

  #refuse(id: FromClient['id'], message: string, code = 'unavailable'): void {
    this.#answer({ type: 'error', id, code, message })
  }

  #answer(envelope: object): void {
    if (!this.#isOver) queueMicrotask(() => this.#events.envelope(envelope as ToClient))
  }
}

function refusalOf(answer: Response | undefined): End {
  if (answer === undefined) return { code: 1006, reason: 'there is no fetch' }
  const retryAfterMs = Number(answer.headers.get('retry-after') ?? 0) * 1000
  const { status } = answer
  return { code: 1006, reason: `refused with ${status}`, status, ...(retryAfterMs > 0 && { retryAfterMs }) }
}
