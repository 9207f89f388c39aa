import type { Clock } from '../clock.ts'

/** When the server pings, and how long it then waits. Together they bound how long a silent peer is kept. */
export interface HeartbeatTimes {
  pingIntervalMs: number
  pongTimeoutMs: number
}

/** How finely time is watched: everything here is late by this much at most. */
const TICK_MS = 100
/** A turn that is late by more than this was not held up by work: the process or the machine was stopped. */
const FROZEN_MS = 1000
/** Pings whose pong is still awaited; a peer that is further behind gets no round trip measured. */
const PINGS_REMEMBERED = 4

/** What the heartbeat needs of a client. */
export interface Watched {
  readonly pulse: Pulse
  /** Unix time in milliseconds; Infinity when the token does not expire. */
  readonly expiresAt: number
  /** Changes with each byte from the peer and each full buffer that the peer has taken up. */
  lifeSign(): number
  /** Sends a ping with this number in it, unless the socket is blocked anyway. */
  sendPing(sequence: number): void
  onExpired(): void
  onSilent(): void
}

/** One client's heartbeat and its figures; times are of the steady clock, in milliseconds. */
export class Pulse {
  /** The tick for which the client is in the wheel. */
  tick = 0
  nextPingAt = 0
  /** The ping whose answer decides between life and silence; undefined while there is none. */
  probedAt: number | undefined
  lifeSignAtProbe = 0
  pings = 0
  pongs = 0
  lastPingAt: number | undefined
  lastPongAt: number | undefined
  roundTripMs: number | undefined
  #sent: { sequence: number; at: number }[] = []

  pinged(at: number): number {
    this.pings++
    this.lastPingAt = at
    this.#sent.push({ sequence: this.pings, at })
    if (this.#sent.length > PINGS_REMEMBERED) this.#sent.shift()
    return this.pings
  }

  /** Matches a pong to its own ping, so a late one is never measured against a later ping; returns the round trip. */
  ponged(sequence: number, at: number): number | undefined {
    this.pongs++
    this.lastPongAt = at
    const index = this.#sent.findIndex((ping) => ping.sequence === sequence)
    const ping = this.#sent[index]
    if (ping === undefined) return undefined
    this.roundTripMs = at - ping.at
    this.#sent = this.#sent.slice(index + 1)
    return this.roundTripMs
  }
}

/**
 * Pings every client, ends the silent ones and those whose token has expired. One timer for all of them: each client
 * stands in the wheel at the tick when it needs the next look.
 */
export class Heartbeat {
  readonly #times: HeartbeatTimes
  readonly #clock: Clock
  readonly #wheel = new Map<number, Set<Watched>>()
  readonly #timer: NodeJS.Timeout
  #tick: number
  #turnedAt: number
  /** Until then nobody is called silent. */
  #patientUntil = -Infinity

  constructor(times: HeartbeatTimes, clock: Clock) {
    this.#times = times
    this.#clock = clock
    this.#turnedAt = clock.steadyMs()
    this.#tick = Math.floor(this.#turnedAt / TICK_MS)
    this.#timer = setInterval(() => this.#turn(), TICK_MS)
    this.#timer.unref()
  }

  watch(client: Watched): void {
    client.pulse.nextPingAt = this.#clock.steadyMs() + this.#times.pingIntervalMs
    this.#schedule(client)
  }

  unwatch(client: Watched): void {
    const clients = this.#wheel.get(client.pulse.tick)
    clients?.delete(client)
    if (clients?.size === 0) this.#wheel.delete(client.pulse.tick)
  }

  /** The client's token has another end now; its pings go on. */
  expiryChanged(client: Watched): void {
    this.unwatch(client)
    this.#schedule(client)
  }

  stop(): void {
    clearInterval(this.#timer)
    this.#wheel.clear()
  }

  #turn(): void {
    const at = this.#clock.steadyMs()
    // Answers from before the stop may lie unread, and peers could not have answered sooner.
    if (at - this.#turnedAt > FROZEN_MS) this.#patientUntil = at + this.#times.pongTimeoutMs
    this.#turnedAt = at
    const now = Math.floor(at / TICK_MS)
    while (this.#tick < now) {
      const due = this.#wheel.get(++this.#tick)
      if (due === undefined) continue
      this.#wheel.delete(this.#tick)
      for (const client of due) this.#look(client)
    }
  }

  #look(client: Watched): void {
    const { pulse } = client
    const now = this.#clock.steadyMs()
    if (this.#clock.wallMs() >= client.expiresAt) {
      client.onExpired()
      return
    }
    if (pulse.probedAt !== undefined && client.lifeSign() !== pulse.lifeSignAtProbe)
      pulse.probedAt = undefined
    if (now >= this.#silentAt(pulse)) {
      client.onSilent()
      return
    }
    if (now >= pulse.nextPingAt) {
      if (pulse.probedAt === undefined) {
        pulse.probedAt = now
        pulse.lifeSignAtProbe = client.lifeSign()
      }
      pulse.nextPingAt = now + this.#times.pingIntervalMs
      client.sendPing(pulse.pings + 1)
    }
    this.#schedule(client)
  }

  #schedule(client: Watched): void {
    const { pulse } = client
    const expiresIn = client.expiresAt - this.#clock.wallMs()
    const at = Math.min(pulse.nextPingAt, this.#silentAt(pulse), this.#clock.steadyMs() + expiresIn)
    pulse.tick = Math.max(this.#tick + 1, Math.ceil(at / TICK_MS))
    const clients = this.#wheel.get(pulse.tick)
    if (clients === undefined) this.#wheel.set(pulse.tick, new Set([client]))
    else clients.add(client)
  }

  #silentAt({ probedAt }: Pulse): number {
    if (probedAt === undefined) return Infinity
    return Math.max(probedAt + this.#times.pongTimeoutMs, this.#patientUntil)
  }
}
