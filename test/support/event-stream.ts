// A reader of server-sent events, as the HTML Living Standard (section 9.2) has them.
import { type ClientRequest, get, type IncomingHttpHeaders, type IncomingMessage } from 'node:http'
import { Notifier } from './until.ts'

export interface StreamEvent {
  type: string
  data: Record<string, unknown>
  /** The last id, this event's or one before. */
  id: string | undefined
}

export class EventStream {
  status = 0
  headers: IncomingHttpHeaders = {}
  readonly events: StreamEvent[] = []
  readonly comments: string[] = []
  retryMs: number | undefined
  lastId: string | undefined
  /** The body where the status is not 200. */
  body = ''
  isEnded = false
  readonly #request: ClientRequest
  readonly #events = new Notifier()
  #rest = ''
  #fields: { event?: string; data: string[] } = { data: [] }

  constructor(url: string, headers: Record<string, string> = {}) {
    this.#request = get(url, { headers: { accept: 'text/event-stream', ...headers }, agent: false })
    this.#request.on('response', (response) => this.#read(response))
    this.#request.on('error', () => this.#end())
  }

  /** The next event of a type that was not taken yet. */
  async next(type: string): Promise<StreamEvent> {
    return this.#events.until(
      () => `an event ${type}; there are ${JSON.stringify(this.events)}`,
      () => {
        const index = this.events.findIndex((event) => event.type === type)
        if (index >= 0) return this.events.splice(index, 1)[0]
        if (this.isEnded) throw new Error(`the stream ended with ${this.status} ${this.body}`)
        return undefined
      },
    )
  }

  async until(what: string, look: () => boolean): Promise<void> {
    await this.#events.until(
      () => what,
      () => (look() ? true : undefined),
    )
  }

  async ended(): Promise<void> {
    await this.until('the stream ends', () => this.isEnded)
  }

  close(): void {
    this.#request.destroy()
  }

  #read(response: IncomingMessage): void {
    this.status = response.statusCode ?? 0
    this.headers = response.headers
    response.setEncoding('utf8')
    response.on('data', (text: string) => {
      if (this.status === 200) this.#take(text)
      else this.body += text
      this.#events.notify()
    })
    response.on('close', () => this.#end())
  }

  #end(): void {
    this.isEnded = true
    this.#events.notify()
  }

  #take(text: string): void {
    const lines = (this.#rest + text).split(/\r\n|\r|\n/)
    this.#rest = lines.pop() ?? ''
    for (const line of lines) this.#line(line)
  }

  #line(line: string): void {
    if (line === '') {
      const { event = 'message', data } = this.#fields
      if (data.length > 0)
        this.events.push({ type: event, data: JSON.parse(data.join('\n')), id: this.lastId })
      this.#fields = { data: [] }
      return
    }
    const [, name = '', value = ''] = /^([^:]*):? ?(.*)$/.exec(line) ?? []
    if (name === '') this.comments.push(value)
    else if (name === 'event') this.#fields.event = value
    else if (name === 'data') this.#fields.data.push(value)
    else if (name === 'id') this.lastId = value
    else if (name === 'retry') this.retryMs = Number(value)
  }
}
