import { RoomcastError } from './errors.ts'
import type { Ack, Hub, Message, Room, User } from './types.ts'

/** What components see of a room; another object after each change. */
export interface Held {
  messages: readonly Message[]
  isJoined: boolean
  error: Error | undefined
  users: readonly User[] | undefined
  count: number | undefined
}

/** What one component wants of a room. */
export interface Wish {
  keep?: number
  last?: number | undefined
  presence?: boolean | undefined
  /** The page's own, as it is at the time. */
  reload?: { current: (() => void) | undefined }
}

export const NOTHING: Held = {
  ...{ messages: [], isJoined: false, error: undefined, users: undefined, count: undefined },
}

type AnyHub = Pick<Hub, 'on'> & { room(name: string, options?: object): Room }

/** A room that components use: joined for the first, left after the last. */
class HeldRoom {
  view = NOTHING
  readonly #hub: AnyHub
  readonly #name: string
  readonly #wishes = new Map<() => void, Wish>()
  #room: Room | undefined
  #offs: (() => void)[] = []

  constructor(hub: AnyHub, name: string) {
    this.#hub = hub
    this.#name = name
    // Behind the commit: all components that came with it have said what they want.
    queueMicrotask(() => this.#join())
  }

  /** Returns what takes the wish back. */
  add(wish: Wish, notify: () => void, onUnused: () => void): () => void {
    // One of its own, so that the same may come twice.
    const one = () => notify()
    this.#wishes.set(one, wish)
    return () => {
      this.#wishes.delete(one)
      // StrictMode takes every component off and puts it on again, and so does a page that moves it elsewhere.
      setTimeout(() => {
        if (this.#wishes.size > 0 || this.#offs.length === 0) return
        for (const off of this.#offs.splice(0)) off()
        this.#room?.leave()
        onUnused()
      })
    }
  }

  publish(content: unknown, options?: { keep?: boolean }): Promise<Ack> {
    return this.#room?.publish(content, options) ?? Promise.reject(left())
  }

  #join(): void {
    const wishes = [...this.#wishes.values()]
    const last = Math.max(0, ...wishes.map((wish) => wish.last ?? 0))
    const presence = wishes.some((wish) => wish.presence)
    const room = this.#hub.room(this.#name, {
      ...(last > 0 && { last }),
      ...(presence && { presence }),
      reload: () => {
        for (const { reload } of this.#wishes.values()) reload?.current?.()
      },
    })
    this.#room = room
    this.#offs = [
      room.on('message', (message) => this.#show({ messages: this.#with(message) })),
      room.on('joined', ({ recovered }) => {
        // The newest ones come once more, and what was before them may have a hole.
        const messages = recovered || last === 0 ? this.view.messages : []
        this.#show({ messages, isJoined: true, error: undefined })
      }),
      room.on('presence', ({ users, count }) => this.#show({ users, count })),
      room.on('left', (error) => this.#show({ error, isJoined: false })),
      this.#hub.on('state', () => this.#show({ isJoined: room.isJoined })),
    ]
    this.#show({ isJoined: room.isJoined })
  }

  #with(message: Message): Message[] {
    const most = Math.max(1, ...[...this.#wishes.values()].map(({ keep }) => keep ?? 0))
    return [...this.view.messages, message].slice(-most)
  }

  #show(change: Partial<Held>): void {
    this.view = { ...this.view, ...change }
    for (const notify of [...this.#wishes.keys()]) notify()
  }
}

const held = new WeakMap<AnyHub, Map<string, HeldRoom>>()

/** Uses a room until the returned function is called; `notify` tells that its view has changed. */
export function hold(hub: AnyHub, name: string, wish: Wish, notify: () => void): () => void {
  const rooms = held.get(hub) ?? new Map<string, HeldRoom>()
  held.set(hub, rooms)
  const room = rooms.get(name) ?? new HeldRoom(hub, name)
  rooms.set(name, room)
  return room.add(wish, notify, () => rooms.delete(name))
}

export function viewOf(hub: AnyHub, name: string): Held {
  return held.get(hub)?.get(name)?.view ?? NOTHING
}

export function publishIn(
  hub: AnyHub,
  name: string,
  content: unknown,
  options?: { keep?: boolean },
): Promise<Ack> {
  return held.get(hub)?.get(name)?.publish(content, options) ?? Promise.reject(left())
}

function left(): RoomcastError {
  return new RoomcastError('closed', 'no component is in the room')
}
