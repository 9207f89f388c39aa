import type { IncomingMessage } from 'node:http'
import { Failure } from './check.ts'
import { type Envelope, Mailbox } from './mailbox.ts'
import { open } from './request.ts'

/** An event as it came. */
export interface StreamEvent {
  event: string
  data: string
  id: string | undefined
}

export interface StreamOptions {
  headers?: Record<string, string>
  timeoutMs: number
}

/** One event stream of a check; what it collects are the envelopes in its events. */
export class Stream {
  readonly mail: Mailbox
  readonly headers: IncomingMessage['headers']
  /** What `retry:` said last. */
  retryMs: number | undefined
  readonly #response: IncomingMessage
  readonly #events: StreamEvent[] = []
  #unread = ''

  static async open(url: string, { headers = {}, timeoutMs }: StreamOptions): Promise<Stream> {
    const response = await open(url, { headers: { Accept: 'text/event-stream', ...headers }, timeoutMs })
    if (response.statusCode !== 200) {
      response.destroy()
      throw new Failure(`the stream was answered with ${response.statusCode}`)
    }
    return new Stream(response, timeoutMs)
  }

  constructor(response: IncomingMessage, timeoutMs: number) {
    this.mail = new Mailbox(timeoutMs)
    this.headers = response.headers
    this.#response = response
    response.setEncoding('utf8').on('data', (text: string) => this.#read(text))
    response.on('error', ({ message }) => this.mail.end(message))
    response.on('close', () => this.mail.end('the stream ended'))
  }

  /** The event that brought an envelope. */
  eventOf(envelope: Envelope): StreamEvent {
    const text = this.mail.textOf(envelope)
    const event = this.#events.find(({ data }) => data === text)
    if (event === undefined) throw new Failure(`no event has the text ${text}`)
    return event
  }

  /** Resolves when the server has ended it, in whatever way. */
  ended(timeoutMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const say = () => reject(new Failure(`the stream did not end within ${timeoutMs} ms`))
      const timer = setTimeout(say, timeoutMs)
      this.#response.once('close', () => {
        clearTimeout(timer)
        resolve()
      })
    })
  }

  close(): void {
    this.#response.destroy()
  }

  #read(text: string): void {
    this.#unread += text
    for (;;) {
      const end = this.#unread.indexOf('\n\n')
      if (end < 0) return
      this.#take(this.#unread.slice(0, end).split('\n'))
      this.#unread = this.#unread.slice(end + 2)
    }
  }

  #take(lines: string[]): void {
    const retry = valuesOf('retry', lines)[0]
    if (retry !== undefined) this.retryMs = Number(retry)
    const data = valuesOf('data', lines)
    if (data.length === 0) return
    if (data.length > 1) this.mail.end('an envelope came in more than one line')
    const event = {
      event: valuesOf('event', lines)[0] ?? '',
      data: data[0] ?? '',
      id: valuesOf('id', lines)[0],
    }
    this.#events.push(event)
    this.mail.put(event.data)
  }
}

function valuesOf(name: string, lines: string[]): string[] {
  const head = `${name}:`
  return lines
    .filter((line) => line.startsWith(head))
    .map((line) => line.slice(head.length).replace(/^ /, ''))
}
