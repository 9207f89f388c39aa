// Looks into a server through Node's own inspector: the heap after a collection, and what keeps its loop alive.
// The server must be started with the environment of `inspected`.
import { WebSocket } from 'ws'
import type { Env, Server } from './server.ts'
import { pollUntil } from './until.ts'

/** Settings for a server that can be looked into. Its stderr then says so. */
export const inspected: Env = { NODE_OPTIONS: '--inspect=127.0.0.1:0' }

export interface Memory {
  heapUsed: number
  external: number
  arrayBuffers: number
  rss: number
}

interface Reply {
  id?: number
  result?: { result?: { value?: unknown }; exceptionDetails?: unknown }
}

export class Inspector {
  readonly #socket: WebSocket
  readonly #waiting = new Map<number, (reply: Reply) => void>()
  #lastId = 0

  static async open(server: Server): Promise<Inspector> {
    const url = await pollUntil('the inspector listens', () => /ws:\/\/\S+/.exec(server.stderr)?.[0])
    const socket = new WebSocket(url)
    await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject))
    return new Inspector(socket)
  }

  constructor(socket: WebSocket) {
    this.#socket = socket
    socket.on('message', (data) => {
      const reply = JSON.parse(String(data)) as Reply
      this.#waiting.get(reply.id ?? 0)?.(reply)
      this.#waiting.delete(reply.id ?? 0)
    })
  }

  /** The value of an expression in the server; it must have a JSON form. */
  async evaluate<T>(expression: string): Promise<T> {
    const reply = await this.#call('Runtime.evaluate', {
      expression,
      returnByValue: true,
      awaitPromise: true,
      includeCommandLineAPI: true,
    })
    if (reply.result?.exceptionDetails) throw new Error(JSON.stringify(reply.result.exceptionDetails))
    return reply.result?.result?.value as T
  }

  /** What is in use after garbage has been collected. */
  async memory(): Promise<Memory> {
    await this.#call('HeapProfiler.collectGarbage')
    // Buffers are given back by finalizers, which run behind the first collection.
    await this.#call('HeapProfiler.collectGarbage')
    return this.evaluate<Memory>('process.memoryUsage()')
  }

  /** How many of each kind keep the loop alive: Timeout, TCPSocketWrap and so on. */
  async resources(): Promise<Record<string, number>> {
    const names = await this.evaluate<string[]>('process.getActiveResourcesInfo()')
    const counts: Record<string, number> = {}
    for (const name of names) counts[name] = (counts[name] ?? 0) + 1
    return counts
  }

  close(): void {
    this.#socket.terminate()
  }

  #call(method: string, params: object = {}): Promise<Reply> {
    const id = ++this.#lastId
    return new Promise((resolve) => {
      this.#waiting.set(id, resolve)
      this.#socket.send(JSON.stringify({ id, method, params }))
    })
  }
}
