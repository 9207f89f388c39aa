import { RedisClient, type RedisServer } from './redis-client.ts'
import { within } from './redis-link.ts'
import type { Address } from './redis-url.ts'

/** A server that has not answered by then is asked again in the next round, on a new connection. */
const ANSWER_MS = 1000
/** A round does not wait for the slow ones once it has had an answer for this long. */
const STRAGGLERS_MS = 100
/** From the end of one round to the next, and of those that somebody asks for. */
const ROUND_MS = 300
const ROUND_MIN_MS = 50

/** What servers are asked in rounds. */
export interface InquiryOptions<Answer> {
  /** What every server has in common: login, TLS. */
  login: Omit<RedisServer, keyof Address>
  servers(): readonly Address[]
  ask(client: RedisClient, server: Address): Promise<Answer>
  /** After each round, with the answers of the last `MEMORY_MS`, by server. */
  onRound(answers: ReadonlyMap<string, Answer>, fault: Error | undefined): void
}
/** An answer counts for this long, so that a server that answers late does not go unheard. */
const MEMORY_MS = 2000

/** Asks several servers the same, again and again, on connections that are kept. */
export class RedisInquiry<Answer> {
  readonly #options: InquiryOptions<Answer>
  readonly #clients = new Map<string, Promise<RedisClient>>()
  readonly #answers = new Map<string, { answer: Answer; atMs: number }>()
  #fault: Error | undefined
  #round: Promise<void> | undefined
  #timer: NodeJS.Timeout | undefined
  #endedAtMs = -Infinity
  #isClosed = false

  constructor(options: InquiryOptions<Answer>) {
    this.#options = options
  }

  /** Asks now, or with the round that is under way and then once more. Never rejects. */
  async refresh(): Promise<void> {
    // What is being asked may have been answered before the change.
    if (this.#round !== undefined) await this.#round
    await (this.#round ?? this.#begin())
  }

  close(): void {
    this.#isClosed = true
    clearTimeout(this.#timer)
    for (const server of this.#clients.keys()) this.#forget(server)
  }

  #begin(): Promise<void> {
    if (this.#isClosed) return Promise.resolve()
    clearTimeout(this.#timer)
    this.#round = this.#run().finally(() => {
      this.#round = undefined
      this.#endedAtMs = performance.now()
      if (this.#isClosed) return
      this.#timer = setTimeout(() => void this.#begin(), ROUND_MS)
    })
    return this.#round
  }

  async #run(): Promise<void> {
    const restMs = this.#endedAtMs + ROUND_MIN_MS - performance.now()
    if (restMs > 0) await sleep(restMs)
    if (this.#isClosed) return
    const servers = this.#options.servers()
    const known = new Set(servers.map(nameOf))
    for (const server of this.#clients.keys()) if (!known.has(server)) this.#forget(server)
    this.#fault = undefined
    await firstAndSoon(servers.map((server) => this.#ask(server)))
    const now = performance.now()
    for (const [server, { atMs }] of this.#answers)
      if (!known.has(server) || now - atMs > MEMORY_MS) this.#answers.delete(server)
    if (this.#isClosed) return
    const answers = new Map([...this.#answers].map(([server, { answer }]) => [server, answer]))
    this.#options.onRound(answers, this.#fault)
  }

  /** Resolves with whether it has answered. */
  async #ask(server: Address): Promise<boolean> {
    const name = nameOf(server)
    const client = this.#clients.get(name) ?? this.#connect(server)
    this.#clients.set(name, client)
    try {
      const asked = client.then((client) => this.#options.ask(client, server))
      const answer = await within(ANSWER_MS, asked, 'no answer in time')
      this.#answers.set(name, { answer, atMs: performance.now() })
      return true
    } catch (error) {
      this.#fault = error as Error
      if (this.#clients.get(name) === client) this.#forget(name)
      return false
    }
  }

  async #connect(server: Address): Promise<RedisClient> {
    const client = new RedisClient({ ...this.#options.login, ...server }, { name: 'roomcast-topology' })
    try {
      await client.connect()
    } catch (error) {
      client.disconnect()
      throw error
    }
    return client
  }

  #forget(server: string): void {
    const client = this.#clients.get(server)
    this.#clients.delete(server)
    client?.then(
      (client) => client.disconnect(),
      () => {}, // It never came to be, which #ask has noted.
    )
  }
}

/** A server's name among others. */
export function nameOf({ host, port }: Address): string {
  return `${host}:${port}`
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

/** Resolves when all have settled, or some time after the first that came true. */
function firstAndSoon(all: Promise<boolean>[]): Promise<void> {
  return new Promise((resolve) => {
    void Promise.all(all).then(() => resolve())
    for (const one of all)
      void one.then((isTrue) => {
        if (isTrue) setTimeout(resolve, STRAGGLERS_MS)
      })
  })
}
