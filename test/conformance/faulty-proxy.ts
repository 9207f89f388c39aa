// A proxy before a real roomcast that speaks its protocol a little wrong.
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Test } from 'tap'
import { WebSocket, WebSocketServer } from 'ws'
import type { Server } from '../support/server.ts'
import type { Answered, Asked, Changes, Link } from './fault.ts'

/** What a proxy does not pass on, since it speaks for itself. */
const OWN = /^(connection|upgrade|keep-alive|transfer-encoding|content-length|sec-websocket-.*)$/
const PLAIN = { perMessageDeflate: false, skipUTF8Validation: true } as const

/** Starts it before the server; it goes with the test. */
export async function startProxy(t: Test, server: Server, changes: Changes = {}): Promise<string> {
  const proxy = new FaultyProxy(server, changes)
  t.teardown(() => proxy.close())
  return proxy.listen()
}

class FaultyProxy {
  readonly #upstream: Server
  readonly #changes: Changes
  readonly #http = createServer((asked, answer) => void this.#onRequest(asked, answer))
  readonly #websockets: WebSocketServer
  readonly #links = new Set<Link>()

  constructor(upstream: Server, changes: Changes) {
    this.#upstream = upstream
    this.#changes = changes
    // The upstream has chosen already, and it alone is offered here.
    this.#websockets = new WebSocketServer({
      noServer: true,
      ...PLAIN,
      handleProtocols: ([first]) => first ?? false,
    })
    this.#http.on('upgrade', (asked, socket, head) => this.#onUpgrade(asked, socket, head))
  }

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.#http.listen(0, '127.0.0.1', resolve))
    return `http://127.0.0.1:${(this.#http.address() as { port: number }).port}`
  }

  async close(): Promise<void> {
    for (const client of this.#websockets.clients) client.terminate()
    const closed = new Promise((resolve) => this.#http.close(resolve))
    this.#http.closeAllConnections()
    await closed
  }

  #changed(asked: Asked): Asked {
    return this.#changes.asks?.(asked) ?? asked
  }

  #onUpgrade(asked: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on('error', () => socket.destroy())
    const { url = '', headers } = this.#changed({ url: asked.url ?? '', headers: asked.headers, body: '' })
    const isSound =
      Number(headers['content-length'] ?? 0) === 0 &&
      headers['sec-websocket-version'] === '13' &&
      headers['sec-websocket-key']?.length === 24
    if (isSound) this.#dial(asked, { url, headers, body: '' }, socket, head)
    else this.#relayRefusal({ url, headers, body: '' }, socket)
  }

  #dial(asked: IncomingMessage, { url, headers }: Asked, socket: Duplex, head: Buffer): void {
    const offered = String(headers['sec-websocket-protocol'] ?? '')
    const protocols = offered.split(',').flatMap((name) => name.trim() || [])
    const upstream = new WebSocket(this.#upstream.url(url).replace('http', 'ws'), protocols, {
      headers: passedOn(headers),
      ...PLAIN,
    })
    upstream.on('error', () => socket.destroy())
    upstream.on('unexpected-response', (_request, response) => this.#refuse(response, socket))
    upstream.on('open', () => {
      const ours = { 'sec-websocket-protocol': upstream.protocol || undefined, upgrade: 'websocket' }
      Object.assign(asked.headers, ours)
      this.#websockets.handleUpgrade(asked, socket, head, (client) => this.#link(client, upstream))
    })
  }

  #link(client: WebSocket, upstream: WebSocket): void {
    const { toClient, toServer, close = (code) => code } = this.#changes
    const link: Link = {
      tell: (text) => client.send(text),
      close: (code) => client.close(code),
      all: this.#links,
      memory: new Map(),
    }
    this.#links.add(link)
    const pass =
      (to: WebSocket, change?: (text: string, link: Link) => string[]) => (data: Buffer, binary: boolean) => {
        if (change === undefined || binary) to.send(data, { binary })
        else for (const text of change(data.toString(), link)) to.send(text)
      }
    client.on('message', pass(upstream, toServer)).on('error', () => {})
    upstream.on('message', pass(client, toClient)).on('ping', (data) => client.ping(data))
    client.on('close', (code, reason) => {
      this.#links.delete(link)
      end(upstream, code, String(reason))
    })
    upstream.on('close', (code, reason) => end(client, close(code), String(reason)))
  }

  /** What no WebSocket library would send is the server's to refuse. */
  #relayRefusal({ url, headers }: Asked, socket: Duplex): void {
    const sent = request(this.#upstream.url(url), {
      headers: headers as Record<string, string>,
      agent: false,
    })
    sent.on('response', (response) => this.#refuse(response, socket))
    sent.on('upgrade', () => socket.destroy()).on('error', () => socket.destroy())
    sent.end()
  }

  #refuse(response: IncomingMessage, socket: Duplex): void {
    void this.#read(response).then(
      ({ status, headers, body }) => {
        const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`)
        const length = `content-length: ${Buffer.byteLength(body)}`
        socket.end([`HTTP/1.1 ${status} -`, ...lines, 'connection: close', length, '', body].join('\r\n'))
      },
      () => socket.destroy(),
    )
  }

  async #onRequest(asked: IncomingMessage, answer: ServerResponse): Promise<void> {
    const { url, headers, body } = this.#changed({
      url: asked.url ?? '',
      headers: asked.headers,
      body: await textOf(asked),
    })
    const length = body === '' && asked.method === 'GET' ? {} : { 'content-length': Buffer.byteLength(body) }
    const options = {
      method: asked.method ?? 'GET',
      headers: { ...passedOn(headers), ...length },
      agent: false,
    }
    const sent = request(this.#upstream.url(url), options)
    sent.on('error', () => answer.destroy())
    answer.on('close', () => sent.destroy())
    sent.on('response', (response) => {
      const isStream = response.headers['content-type'] === 'text/event-stream'
      if (isStream) this.#stream(response, answer)
      else void this.#read(response).then((got) => answer.writeHead(got.status, got.headers).end(got.body))
    })
    sent.end(body)
  }

  #stream(response: IncomingMessage, answer: ServerResponse): void {
    const { answers = (one) => one, event = (text) => text } = this.#changes
    const { status, headers } = answers({ status: 200, headers: passedOn(response.headers), body: '' })
    answer.writeHead(status, headers)
    let unread = ''
    response.setEncoding('utf8').on('data', (text: string) => {
      const events = `${unread}${text}`.split('\n\n')
      unread = events.pop() ?? ''
      for (const one of events) answer.write(`${event(one)}\n\n`)
    })
    response.on('error', () => answer.destroy()).on('end', () => answer.end())
  }

  async #read(response: IncomingMessage): Promise<Answered> {
    const { statusCode: status = 0, headers } = response
    const got = { status, headers: passedOn(headers), body: await textOf(response) }
    return this.#changes.answers?.(got) ?? got
  }
}

function passedOn(headers: Asked['headers']): Record<string, string> {
  const kept = Object.entries(headers).filter(([name, value]) => value !== undefined && !OWN.test(name))
  return Object.fromEntries(kept) as Record<string, string>
}

async function textOf(message: IncomingMessage): Promise<string> {
  let text = ''
  for await (const chunk of message.setEncoding('utf8')) text += chunk
  return text
}

/** 1005 and 1006 stand for what was not said. */
function end(socket: WebSocket, code: number, reason: string): void {
  if (code === 1006) socket.terminate()
  else if (code === 1005) socket.close()
  else socket.close(code, reason)
}
