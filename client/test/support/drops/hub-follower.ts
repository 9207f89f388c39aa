// The real client as an application uses it, with a network that can be cut.
import { WebSocket } from 'ws'
import { HubClient } from '../../../src/hub-client.ts'
import { platform } from '../../../src/platform.ts'
import { Numbers } from './numbers.ts'
import { AWAY_MS, type Content, type Follower, ROOM } from './place.ts'

export interface HubPlace {
  url: string
  token: string
  /** The number that was said last. */
  said: { last: number }
  onCaughtUp(ms: number): void
  onEnd(what: string): void
}

export class HubFollower implements Follower {
  readonly seen = new Numbers()
  returns = 0
  readonly #place: HubPlace
  #hub: HubClient | undefined
  #socket: WebSocket | undefined
  #awayUntilMs = 0
  /** Of the socket itself: the answer to its upgrade is there, the welcome may not be. */
  #openedAtMs = 0
  #target = Infinity

  constructor(place: HubPlace) {
    this.#place = place
  }

  get isJoined(): boolean {
    return this.#hub?.room(ROOM).isJoined === true
  }

  begin(): void {
    const { url, token, onEnd } = this.#place
    this.#hub = new HubClient(new URL(url), { token: () => token }, this.#platform())
    const room = this.#hub.room(ROOM)
    this.#hub.on('state', (state) => {
      if (state.name === 'waiting' && !this.#isAway) onEnd(state.why)
    })
    let joins = 0
    room.on('joined', () => {
      if (joins++ > 0) this.returns++
      this.#lookWhetherCaughtUp()
    })
    room.on('message', ({ content }) => {
      this.seen.take((content as Content).n)
      this.#lookWhetherCaughtUp()
    })
  }

  drop(): void {
    this.#awayUntilMs = performance.now() + AWAY_MS
    this.#target = Infinity
    this.#socket?.terminate()
  }

  close(): void {
    this.#hub?.close()
  }

  get #isAway(): boolean {
    return performance.now() < this.#awayUntilMs
  }

  #platform() {
    const isAway = () => this.#isAway
    const use = (socket: WebSocket) => {
      this.#socket = socket
      // Ahead of the client's own listener, which joins.
      socket.once('open', () => this.#opened())
    }
    class Cuttable extends WebSocket {
      constructor(to: string) {
        if (isAway()) throw new Error('no network')
        super(to, { perMessageDeflate: false })
        use(this)
      }
    }
    return {
      ...platform(),
      WebSocket: Cuttable as never,
      fetch: (...args: Parameters<typeof fetch>) =>
        isAway() ? Promise.reject(new TypeError('no network')) : fetch(...args),
    }
  }

  #opened(): void {
    if (this.#awayUntilMs === 0) return
    this.#openedAtMs = performance.now()
    this.#target = this.#place.said.last
  }

  #lookWhetherCaughtUp(): void {
    if (!this.isJoined || this.seen.next <= this.#target) return
    this.#target = Infinity
    this.#place.onCaughtUp(performance.now() - this.#openedAtMs)
  }
}
