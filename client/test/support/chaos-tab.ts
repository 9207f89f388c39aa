import { WebSocket } from 'ws'
import type { Dice } from '../../../test/support/chaos/dice.ts'
import { nowS, tokenFor } from '../../../test/support/token.ts'
import { connect } from '../../src/index.ts'
import type { Ack, Hub, HubOptions, Room } from '../../src/types.ts'

/** Tokens live for so many seconds. */
const TOKEN_S = { from: 3, to: 9 }

/** One publish, and what its promise came to. Times of performance.now(). */
export interface Publish {
  id: string
  room: string
  sentAtMs: number
  ack?: Ack
  failure?: { code: string; maybeDelivered: boolean }
}

/** One message as the application saw it. */
export interface Sighting {
  id: string
  offset?: number | undefined
  client?: string
  at?: number
  seenAtMs?: number
}

/** A room as the application sees it. */
export interface View {
  name: string
  room: Room<string>
  joinedAtMs?: number
  /** In their order. */
  seen: Sighting[]
  /** When it was told that messages may be missing. */
  reloadedAtMs: number[]
}

/** One tab of one user: a hub, and what its application sees. It may be closed at any time. */
export class Tab {
  readonly name: string
  readonly views: View[]
  readonly publishes: Publish[] = []
  readonly hub: Hub
  isClosed = false
  readonly #dice: Dice
  readonly #sockets = new Set<WebSocket>()
  #inFlight = 0

  constructor(name: string, url: string, rooms: readonly string[], dice: Dice) {
    this.name = name
    this.#dice = dice
    const sockets = this.#sockets
    class Watched extends WebSocket {
      constructor(to: string) {
        super(to)
        sockets.add(this)
        this.once('close', () => sockets.delete(this))
      }
    }
    const options = {
      token: () => this.#token(),
      WebSocket: Watched as unknown as NonNullable<HubOptions['WebSocket']>,
    }
    this.hub = connect(url, options)
    this.views = rooms.map((room) => this.#viewOf(room))
  }

  get isBusy(): boolean {
    return this.#inFlight > 0
  }

  get isThere(): boolean {
    return this.views.every(({ room }) => room.isJoined)
  }

  publish(id: string): void {
    const { room, name } = this.#dice.pick(this.views)
    const one: Publish = { id, room: name, sentAtMs: performance.now() }
    this.publishes.push(one)
    this.#inFlight++
    room
      .publish(id)
      .then(
        (ack) => {
          one.ack = ack
        },
        ({ code, maybeDelivered = false }) => {
          one.failure = { code, maybeDelivered }
        },
      )
      .finally(() => this.#inFlight--)
  }

  /** As a network does, without a word. */
  cut(): void {
    for (const socket of this.#sockets) socket.terminate()
  }

  /** A network that takes and gives nothing, and does not say so. */
  stall(): void {
    for (const socket of this.#sockets) if (socket.readyState === WebSocket.OPEN) socket.pause()
  }

  close(): void {
    this.isClosed = true
    this.hub.close()
  }

  /** Paused sockets never end by themselves. */
  dispose(): void {
    this.close()
    this.cut()
  }

  #viewOf(name: string): View {
    const reloadedAtMs: number[] = []
    const reload = () => reloadedAtMs.push(performance.now())
    const room = this.hub.room(name, { reload }) as Room<string>
    const view: View = { name, room, seen: [], reloadedAtMs }
    room.on('joined', () => {
      view.joinedAtMs ??= performance.now()
    })
    room.on('message', ({ content: id, offset, from: { client }, at }) => {
      view.seen.push({ id, offset, client, at, seenAtMs: performance.now() })
    })
    return view
  }

  /** Now and then the login is slow, or fails. */
  async #token(): Promise<string> {
    const dice = this.#dice
    if (dice.chance(0.05)) throw new Error('the login is away')
    if (dice.chance(0.1)) await new Promise((resolve) => setTimeout(resolve, dice.int(50, 500)))
    return tokenFor(this.name, { exp: nowS() + dice.int(TOKEN_S.from, TOKEN_S.to) })
  }
}
