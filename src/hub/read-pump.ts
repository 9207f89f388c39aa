import type { Clock } from '../clock.ts'
import type { Hooks } from '../hooks/hooks.ts'
import type { Log } from '../log.ts'
import { type Decoded, decode } from '../protocol/codec.ts'
import type { ErrorEnvelope, JoinRequest, Request } from '../protocol/envelope.ts'
import { type Answer, Pending, refusal } from './answers.ts'
import { askAbout } from './asked.ts'
import type { Client } from './client.ts'
import { handle } from './handlers.ts'
import { SMALL_BYTES } from './held-requests.ts'
import type { Hub } from './hub.ts'
import { RateLimiter, type RateLimits } from './rate-limiter.ts'
import type { SharedBucket } from './shared-bucket.ts'

/** Requests that wait, or whose answer does, before the client is no longer read from, and when it is again. */
const PAUSE_AT = 256
const RESUME_AT = 64
/** The same for the bytes of their contents, so that large messages wait with the peer and not here. */
const PAUSE_AT_BYTES = 4 * 1024 * 1024
const RESUME_AT_BYTES = 1024 * 1024

/** What a request takes beside its text. */
const REQUEST_BYTES = 512

/** A request and the bytes that it keeps in memory: its content is a part of the whole text. */
interface Waiting {
  decoded: Decoded
  bytes: number
}

export interface ReadPumpOptions {
  clock: Clock
  log: Log
  limits: RateLimits
  maxNesting: number
}

/** Takes one client's frames and has its requests carried out, and answered, in the order sent. */
export class ReadPump {
  readonly #hub: Hub
  readonly #client: Client
  readonly #options: ReadPumpOptions
  readonly #limiter: RateLimiter
  /** Requests behind one that is carried out alone. */
  #waiting: Waiting[] = []
  #isBusy = false
  #isCatchingUp = false
  /** Resolves when every answer begun so far is sent; undefined when none is outstanding. */
  #answers: Promise<void> | undefined
  #unanswered = 0
  #heldBytes = 0
  #isPaused = false

  /** `shared` is what the client's user may send, whatever its clients. */
  constructor(hub: Hub, client: Client, options: ReadPumpOptions, shared?: SharedBucket) {
    this.#hub = hub
    this.#client = client
    this.#options = options
    this.#limiter = new RateLimiter(options.limits, options.clock.steadyMs(), shared)
  }

  receive(data: Buffer, isBinary: boolean): void {
    if (!this.#admit()) return
    this.#client.messagesIn++
    if (isBinary) {
      this.#client.disconnect('unsupportedData', 'text frames only')
      return
    }
    const text = data.toString()
    const decoded = decode(text, this.#options.maxNesting)
    // With a character of more than one byte, each may take two in memory.
    this.#queue(decoded, REQUEST_BYTES + (text.length === data.length ? text.length : 2 * text.length))
  }

  /** Has joins carried out as if the client had sent them, ahead of its own requests; they are no part of its rate. */
  joinFirst(requests: readonly JoinRequest[]): void {
    for (const request of requests) this.#queue({ ok: true, request }, REQUEST_BYTES)
  }

  receivePing(payload: Buffer): void {
    if (this.#admit()) this.#client.pong(payload)
  }

  /** Pongs answer the server: a user of ten thousand clients does not send more for them. */
  receivePong(payload: Buffer): void {
    if (this.#admit(true)) this.#client.ponged(payload)
  }

  /** The client is closing: nothing more is taken from it. */
  end(): void {
    for (const { bytes } of this.#waiting.splice(0)) this.#release(bytes)
    this.#limiter.end(this.#options.clock.steadyMs())
  }

  /** Whether the frame is within the client's rate, and its user's unless it is the client's own affair. */
  #admit(isOwn = false): boolean {
    const { clock } = this.#options
    this.#client.endIfExpired(clock.wallMs())
    if (!this.#client.isOpen) return false
    const nowMs = clock.steadyMs()
    const verdict = this.#limiter.take(nowMs, isOwn)
    if (verdict === 'ok') return true
    this.#hub.counters.rateLimited++
    if (verdict === 'over') return false
    const retryAfterMs = this.#limiter.retryAfterMs(nowMs)
    if (verdict === 'notice') {
      this.#client.reply({ type: 'error', code: 'rate_limited', message: 'too many frames', retryAfterMs })
    } else {
      this.end()
      this.#client.disconnect('rateLimited', `retry after ${Math.ceil(retryAfterMs / 1000)} s`)
    }
    return false
  }

  #queue(decoded: Decoded, bytes: number): void {
    if (this.#isBusy) {
      this.#waiting.push({ decoded, bytes })
      this.#hold(bytes)
    } else {
      this.#take(decoded, bytes)
    }
  }

  #take(decoded: Decoded, bytes: number): void {
    const { hooks } = this.#hub
    if (hooks !== undefined && decoded.ok) this.#ask(hooks, decoded.request, bytes)
    else this.#begin(decoded, bytes)
  }

  /** Asks the hooks. What the client sent later waits meanwhile, as it does behind a join. */
  #ask(hooks: Hooks, request: Request, bytes: number): void {
    const verdict = askAbout(hooks, this.#hub, this.#client, request)
    if (!(verdict instanceof Promise)) {
      this.#begin(verdict, bytes)
      return
    }
    this.#isBusy = true
    this.#hold(bytes)
    void verdict.then((decoded) => {
      this.#isBusy = false
      this.#release(bytes)
      // Gone meanwhile: whatever the answer is, it does nothing.
      if (this.#client.isOpen) this.#begin(decoded, bytes)
      this.#catchUp()
    })
  }

  #begin(decoded: Decoded, bytes: number): void {
    if (!decoded.ok) this.#answer(decoded.error, 0)
    else if (isAlone(decoded.request)) void this.#carryOutAlone(decoded.request)
    else {
      const answer = this.#carryOut(decoded.request)
      if (answer instanceof Pending) void this.#carryOutLater(decoded.request, answer, bytes)
      else this.#answer(answer, bytes)
    }
  }

  /** What follows waits until the request is carried out, but not for its answer. Never rejects. */
  async #carryOutLater(request: Request, pending: Pending, bytes: number): Promise<void> {
    this.#isBusy = true
    this.#hold(bytes)
    const proceed = await this.#ready(request, pending)
    this.#release(bytes)
    this.#answer(this.#attempt(request, proceed), bytes)
    this.#isBusy = false
    this.#catchUp()
  }

  /** Never rejects. */
  #ready(request: Request, { ready }: Pending): Promise<() => Answer> {
    return ready.catch((error: unknown) => () => this.#failed(request, error))
  }

  /**
   * A join must be done before what follows it is looked at. It waits for the answers before it, so that `joined` is
   * in its place and still ahead of the room's first message. What brings history waits until the client has taken
   * what it got: a few bytes ask for megabytes. Never rejects, and waits for nothing that is there.
   */
  async #carryOutAlone(request: Request): Promise<void> {
    this.#isBusy = true
    if (this.#answers !== undefined) await this.#answers
    while (bringsHistory(request) && this.#client.isOpen && this.#client.isBehind)
      await this.#client.progress()
    const done = this.#carryOut(request)
    const answer = done instanceof Pending ? this.#attempt(request, await this.#ready(request, done)) : done
    const envelope = answer instanceof Promise ? await answer : answer
    if (envelope !== undefined) this.#client.reply(envelope)
    while (bringsHistory(request) && this.#client.isOpen && this.#client.isFull) await this.#client.progress()
    this.#isBusy = false
    this.#catchUp()
  }

  /** Takes what has waited, up to the next that is carried out alone. */
  #catchUp(): void {
    if (this.#isCatchingUp) return
    this.#isCatchingUp = true
    while (!this.#isBusy) {
      const next = this.#waiting.shift()
      if (next === undefined) break
      this.#release(next.bytes)
      this.#take(next.decoded, next.bytes)
    }
    this.#isCatchingUp = false
    this.#letGo()
  }

  #carryOut(request: Request): Answer | Pending {
    return this.#attempt(request, () => {
      this.#hub.counters.requests[request.type]++
      return handle(this.#hub, this.#client, request)
    })
  }

  /** The pump's one catch: a fault of ours is logged and answered, and ends nothing. */
  #attempt<Done extends Answer | Pending>(request: Request, action: () => Done): Done | Answer {
    // Gone while this waited: it has left its rooms for good, and nothing more may come from it.
    if (!this.#client.isOpen) return undefined
    try {
      const answer = action()
      return answer instanceof Promise ? answer.catch((error) => this.#failed(request, error)) : answer
    } catch (error) {
      return this.#failed(request, error)
    }
  }

  #failed(request: Request, error: unknown): ErrorEnvelope {
    const count = this.#hub.faults.add()
    if (count !== undefined)
      this.#options.log.error({ err: error, client: this.#client.id, count }, 'request failed')
    const room = 'room' in request ? request.room : undefined
    return refusal('internal', 'the server failed', { id: request.id, room })
  }

  /** Sends an answer behind those that are still outstanding; `answer` never rejects. `bytes` are held until then. */
  #answer(answer: Answer, bytes: number): void {
    if (answer === undefined) return
    if (!(answer instanceof Promise) && this.#answers === undefined) {
      this.#client.reply(answer)
      return
    }
    this.#unanswered++
    this.#hold(bytes)
    const before = this.#answers
    this.#answers = (async () => {
      await before
      const envelope = await answer
      if (envelope !== undefined) this.#client.reply(envelope)
      this.#unanswered--
      this.#release(bytes)
      if (this.#unanswered === 0) this.#answers = undefined
      this.#letGo()
    })()
  }

  #hold(bytes: number): void {
    const { held } = this.#hub
    this.#heldBytes += bytes
    held.add(bytes)
    const most = held.isMuch ? SMALL_BYTES : PAUSE_AT_BYTES
    if (held.isTooMuch && this.#heldBytes > SMALL_BYTES) {
      this.end()
      this.#client.disconnect('tooSlow', 'too many requests wait on this node')
      return
    }
    const isMuch = this.#waiting.length + this.#unanswered >= PAUSE_AT || this.#heldBytes >= most
    if (this.#isPaused || !isMuch) return
    this.#isPaused = true
    this.#client.pause()
  }

  #release(bytes: number): void {
    this.#heldBytes -= bytes
    this.#hub.held.add(-bytes)
  }

  #letGo(): void {
    const most = this.#hub.held.isMuch ? 0 : RESUME_AT_BYTES
    const isLittle = this.#waiting.length + this.#unanswered <= RESUME_AT && this.#heldBytes <= most
    if (!this.#isPaused || !isLittle) return
    this.#isPaused = false
    this.#client.resume()
  }
}

/** Whether what follows a request has to wait for it. */
function isAlone({ type }: Request): boolean {
  return type === 'join' || type === 'history' || type === 'presence' || type === 'refresh' || type === 'call'
}

function bringsHistory(request: Request): boolean {
  if (request.type === 'join') return request.since !== undefined || request.last !== undefined
  return request.type === 'history'
}
