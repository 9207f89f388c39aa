import type { ToClient, Welcome } from '../../src/protocol/wire.ts'
import { BackOff, type End } from './back-off.ts'
import { type Link, openWebSocket } from './link.ts'
import { Liveness } from './liveness.ts'
import type { Platform } from './platform.ts'
import type { TokenSource } from './token-source.ts'
import type { State } from './types.ts'

/** What a connection tells its hub. */
export interface ConnectionOwner {
  /** Requests may be sent on it. */
  onOpen(link: Link): void
  onEnvelope(envelope: ToClient, link: Link): void
  /** The link is gone; another one may be there already. */
  onEnd(link: Link): void
  onState(state: State): void
  onError(error: Error): void
  /** Renews the token on the link; resolves with the milliseconds that the new one has left. */
  refresh(link: Link, token: string): Promise<number | undefined>
}

/** What only those load whose WebSockets are refused. */
const loadFallback = () => import('./fallback.ts')

/** Refusals in a row, while plain HTTP works, that say: no WebSocket gets through here. */
const REFUSALS = 2
/** A token is renewed when this part of its life is over, and at most so long before its end. */
const RENEW_AT = 0.8
const RENEW_MAX_MS = 60_000
/** The interval of which a handshake's silence is as long as its time. */
const HANDSHAKE = 0.8
/** A provider is not asked more often, whatever is said of its tokens' life. */
const RENEW_LEAST_MS = 1000
/** Between tries to renew. */
const RENEW_AGAIN_MS = 5_000

/** One attempt at a connection, and the link that it became. */
interface Attempt {
  link?: Link
  /** Whether requests may be sent. */
  isOpen: boolean
  welcome?: Welcome
  token: string
  liveness?: Liveness
  renewing?: unknown
  /** Ends the question why it was refused. */
  stop(): void
}

/** Keeps one link to the server up until `close`, and for a moment two while a node goes. */
export class Connection {
  readonly #url: URL
  readonly #tokens: TokenSource
  readonly #platform: Platform
  readonly #timeoutMs: number
  readonly #owner: ConnectionOwner
  readonly #backOff = new BackOff()
  readonly #offWake: () => void
  /** The newest attempt, open or on its way. What an older one says late is nobody's. */
  #attempt: Attempt | undefined
  /** Open still, while its node goes and the newest takes over. */
  #leaving: Attempt | undefined
  #timer: unknown
  #reconnectInMs: number | undefined
  #refusals = 0
  #isStream = false
  #state: State = { name: 'connecting' }
  /** What holds once no older connection is there any more. */
  #next: State = this.#state

  constructor(url: URL, tokens: TokenSource, platform: Platform, timeoutMs: number, owner: ConnectionOwner) {
    this.#url = url
    this.#tokens = tokens
    this.#platform = platform
    this.#timeoutMs = timeoutMs
    this.#owner = owner
    this.#isStream = platform.WebSocket === undefined
    this.#offWake = platform.onWake(() => this.#wake())
    // Listeners are set behind this.
    queueMicrotask(() => this.#connect())
  }

  get state(): State {
    return this.#state
  }

  /** The link for what is said from now on, once it is open. */
  get link(): Link | undefined {
    return (this.#attempt?.isOpen ? this.#attempt : this.#leaving)?.link
  }

  /** The server has let us into a room: what comes next is a series of its own. */
  proven(): void {
    this.#backOff.reset()
  }

  /** The node goes: the next connection is made while this one still delivers. */
  moveAway(link: Link, reconnectInMs: number, handoverMs: number | undefined): void {
    if (link !== this.#attempt?.link) return
    this.#reconnectInMs = reconnectInMs
    if (handoverMs === undefined) return
    this.#wait(Math.min(reconnectInMs, handoverMs / 2), () => {
      // The next node may go as well, before everything has moved to it.
      this.#dropOld()
      this.#leaving = this.#attempt
      this.#reconnectInMs = undefined
      this.#connect()
    })
  }

  /** The link that is being left, while it is. */
  get oldLink(): Link | undefined {
    return this.#leaving?.link
  }

  /** Everything has moved to the new link. */
  leaveOld(): void {
    if (this.#attempt?.welcome !== undefined) this.#dropOld()
  }

  #dropOld(): void {
    const old = this.#leaving
    this.#leaving = undefined
    this.#drop(old)
  }

  close(why: string, code?: number): void {
    if (this.#state.name === 'closed') return
    this.#platform.clearTimeout(this.#timer)
    this.#offWake()
    this.#tokens.stop()
    const [attempt, leaving] = [this.#attempt, this.#leaving]
    this.#attempt = this.#leaving = undefined
    this.#drop(attempt)
    this.#drop(leaving)
    this.#setState({ name: 'closed', why, code })
  }

  #wait(ms: number, then: () => void): void {
    this.#platform.clearTimeout(this.#timer)
    this.#timer = this.#platform.setTimeout(then, ms)
  }

  #setState(state: State): void {
    this.#state = state
    this.#owner.onState(state)
  }

  #setNext(state: State): void {
    this.#next = state
    if (this.#leaving === undefined || state.name === 'open') this.#setState(state)
  }

  #connect(): void {
    if (this.#state.name === 'closed') return
    this.#platform.clearTimeout(this.#timer)
    const attempt: Attempt = { isOpen: false, token: '', stop() {} }
    this.#attempt = attempt
    this.#setNext({ name: 'connecting' })
    this.#tokens
      .get()
      .then((token) => (this.#attempt === attempt ? this.#open(attempt, token) : undefined))
      .catch((error: Error) => {
        if (this.#attempt !== attempt) return
        this.#drop(attempt)
        this.#owner.onError(error)
        this.#comeBack(attempt, { code: 1006, reason: error.message })
      })
  }

  async #open(attempt: Attempt, token: string): Promise<void> {
    attempt.token = token
    const isCurrent = () => this.#attempt === attempt || this.#leaving === attempt
    const tooLate = () => void this.#ended(attempt, { code: 1006, reason: 'no answer' })
    // A handshake is asked for nothing, but has to prove itself like the rest when a page wakes up.
    attempt.liveness = new Liveness(this.#platform, this.#timeoutMs * HANDSHAKE, () => {}, tooLate)
    const open = this.#isStream ? (await loadFallback()).openStream : openWebSocket
    if (!isCurrent()) return
    const link = open(this.#urlFor(token), this.#platform, {
      open: () => {
        if (!isCurrent()) return
        attempt.isOpen = true
        this.#owner.onOpen(link)
      },
      alive: () => attempt.liveness?.heard(),
      envelope: (envelope) => {
        if (!isCurrent()) return
        attempt.liveness?.heard()
        try {
          if (envelope.type === 'welcome') this.#welcomed(attempt, envelope)
          if (isCurrent()) this.#owner.onEnvelope(envelope, link)
        } catch (error) {
          // Not of this protocol: Node would end the process for it.
          this.#owner.onError(error as Error)
        }
      },
      end: (end) => {
        if (isCurrent()) void this.#ended(attempt, end)
      },
    })
    attempt.link = link
  }

  #urlFor(token: string): string {
    const url = new URL(this.#url)
    url.searchParams.set('token', token)
    url.pathname += this.#isStream ? 'sse' : 'ws'
    if (this.#isStream) return url.href
    url.protocol = url.protocol.replace('http', 'ws')
    url.searchParams.set('handover', 'true')
    return url.href
  }

  #welcomed(attempt: Attempt, welcome: Welcome): void {
    // A stream welcomes again when its rooms change.
    attempt.liveness?.stop()
    this.#platform.clearTimeout(attempt.renewing)
    attempt.welcome = welcome
    this.#refusals = 0
    const { client, user, node, pingIntervalMs, expiresInMs } = welcome
    const link = attempt.link as Link
    attempt.liveness = new Liveness(
      this.#platform,
      pingIntervalMs,
      () => link.send('{"type":"ping"}'),
      () => void this.#ended(attempt, { code: 1006, reason: 'silence' }),
    )
    this.#renewIn(attempt, expiresInMs)
    this.#setNext({ name: 'open', client, user, node, transport: link.kind })
  }

  #renewIn(attempt: Attempt, expiresInMs: number | undefined): void {
    if (expiresInMs === undefined || this.#tokens.isFixed) return
    const wait = Math.max(RENEW_LEAST_MS, expiresInMs * RENEW_AT, expiresInMs - RENEW_MAX_MS)
    attempt.renewing = this.#platform.setTimeout(() => void this.#renew(attempt), wait)
  }

  /** Until it works, or the token ends and another connection asks for a new one anyway. */
  async #renew(attempt: Attempt): Promise<void> {
    const { link } = attempt
    // Its end asks for a token itself; a stream's cannot be renewed.
    if (this.#attempt !== attempt || link?.kind !== 'websocket') return
    try {
      const token = await this.#tokens.get()
      if (this.#attempt !== attempt) return
      if (token === attempt.token) throw new Error('same token')
      const expiresInMs = await this.#owner.refresh(link, token)
      if (this.#attempt !== attempt) return
      attempt.token = token
      this.#renewIn(attempt, expiresInMs)
    } catch (error) {
      if (this.#attempt !== attempt) return
      this.#owner.onError(error as Error)
      attempt.renewing = this.#platform.setTimeout(() => void this.#renew(attempt), RENEW_AGAIN_MS)
    }
  }

  #drop(attempt: Attempt | undefined): void {
    if (attempt === undefined) return
    const { link, liveness, renewing } = attempt
    attempt.isOpen = false
    attempt.stop()
    liveness?.stop()
    this.#platform.clearTimeout(renewing)
    link?.close()
    if (link !== undefined) this.#owner.onEnd(link)
  }

  async #ended(attempt: Attempt, end: End): Promise<void> {
    if (attempt === this.#leaving) {
      this.#dropOld()
      // While it was there, tries that failed had cost nothing.
      this.#backOff.reset()
      if (this.#state !== this.#next) this.#setState(this.#next)
      return
    }
    if (this.#attempt !== attempt) return
    this.#platform.clearTimeout(this.#timer)
    this.#drop(attempt)
    if (attempt.welcome !== undefined) return this.#comeBack(attempt, end)
    const refusal = end.status === undefined ? await this.#probe(attempt) : end
    if (this.#attempt !== attempt) return
    // It worked but for the question: the token is good, and so is the way.
    const isWebSocketBlocked = !this.#isStream && refusal.status === 400 && ++this.#refusals >= REFUSALS
    if (isWebSocketBlocked) {
      this.#isStream = true
      return this.#connect()
    }
    const { status } = refusal
    if ((status === 401 || status === 403) && this.#tokens.isFixed) return this.close('refused', status)
    this.#comeBack(attempt, { ...end, ...refusal })
  }

  /** Why it was refused, as far as plain HTTP tells. */
  async #probe(attempt: Attempt): Promise<Partial<End>> {
    try {
      const { probe } = await loadFallback()
      return this.#attempt === attempt ? await probe(this.#url, attempt, this.#platform, this.#timeoutMs) : {}
    } catch {
      // No way there at all, or none that a page may look at.
      return {}
    }
  }

  #comeBack(attempt: Attempt, end: End): void {
    const { welcome } = attempt
    if (end.code === 4401 && this.#tokens.isFixed) {
      this.close('token expired', 4401)
      return
    }
    const { random } = this.#platform
    const reconnectInMs = end.code === 1001 ? this.#reconnectInMs : undefined
    this.#reconnectInMs = undefined
    const isQuick = welcome !== undefined || this.#leaving !== undefined
    const waitMs = this.#backOff.after(end, isQuick, random(), reconnectInMs)
    const why = end.reason || `ended with ${end.status ?? end.code}`
    if (waitMs === 'never') {
      this.close(why, end.code)
      return
    }
    this.#setNext({ name: 'waiting', retryInMs: waitMs, why })
    this.#wait(waitMs, () => this.#connect())
  }

  /** The page is back, or the network: what is open must prove it, and what waits need not. */
  #wake(): void {
    if (this.#state.name !== 'waiting') {
      this.#attempt?.liveness?.prove()
      return
    }
    this.#backOff.reset()
    // Another network may let WebSockets through.
    this.#isStream = this.#platform.WebSocket === undefined
    this.#connect()
  }
}
