import { randomBytes } from 'node:crypto'
import { createSigner } from 'fast-jwt'

export type Claims = Record<string, unknown>

export interface TargetOptions {
  url: URL
  /** Tokens are signed with it, by HS256. */
  secret: string
  apiKey: string | undefined
  /** In each token that does not say otherwise. */
  claims: Claims
  /** How rooms' names begin. */
  rooms: string
  /** Whether clients that are not ours may be told of something. */
  broadcast: boolean
  timeoutMs: number
}

const HOUR_S = 3600
/** Servers that are locked down allow nothing else to tokens that do not name it. */
const EVERYTHING = { join: ['*'], publish: ['*'], broadcast: true }

/** The server that is checked, and names in it that nobody else uses. */
export class Target {
  readonly secret: string
  readonly apiKey: string | undefined
  readonly broadcast: boolean
  readonly timeoutMs: number
  readonly #base: URL
  readonly #claims: Claims
  readonly #rooms: string
  /** So that runs on the same server do not meet. */
  readonly #run = randomBytes(4).toString('hex')
  #names = 0

  constructor({ url, secret, apiKey, claims, rooms, broadcast, timeoutMs }: TargetOptions) {
    this.#base = new URL(url)
    this.#base.protocol = url.protocol.replace('ws', 'http')
    this.#base.pathname = url.pathname.replace(/\/(ws)?$/, '')
    this.#base.search = ''
    this.secret = secret
    this.apiKey = apiKey
    this.broadcast = broadcast
    this.timeoutMs = timeoutMs
    this.#claims = claims
    this.#rooms = rooms
  }

  /** A path of the server, below the one that it was named with. */
  http(path: string): string {
    return `${this.#base.origin}${this.#base.pathname.replace(/\/$/, '')}${path}`
  }

  ws(path: string): string {
    return this.http(path).replace(/^http/, 'ws')
  }

  /** A room of its own; `end` is how the name ends. */
  room(end = ''): string {
    return `${this.#rooms}${this.#run}.${++this.#names}${end}`
  }

  user(): string {
    return `user-${this.#run}-${++this.#names}`
  }

  /** A token for an hour and for everything; a claim that is `undefined` is left out. */
  token(claims: Claims = {}, secret = this.secret): string {
    const usual = { sub: this.user(), exp: nowS() + HOUR_S, can: EVERYTHING }
    const all = { ...usual, ...this.#claims, ...claims }
    // Without `iat` of the library's own, which a check may want otherwise.
    return createSigner({ key: secret, algorithm: 'HS256', noTimestamp: true })(all)
  }
}

/** Seconds since 1970, as tokens count. */
export function nowS(): number {
  return Math.floor(Date.now() / 1000)
}
