import type { ClientFigures, Members, RoomsPage, UserAnswer } from './answers.ts'
import { ask, path } from './api.ts'

/** Rooms, or users, that are asked for at a time. */
const AT_A_TIME = 6
const ROOMS_A_PAGE = 50

/**
 * Clients by way of rooms: the API lists rooms, the users in each, and each user's clients, but not all clients. Each
 * look goes on where the last one ended.
 */
export class Browse {
  /** Looked into so far. */
  rooms = 0
  /** Found so far. */
  users = 0
  /** Whether some room has more users than the API lists. */
  isCut = false
  isDone = false
  readonly #room: string
  readonly #part: string
  readonly #seen: Set<string>
  readonly #found: AsyncGenerator<string[], void>
  #waiting: string[] = []

  /** In one room, or in all where it is empty; users whose names have `part` in them, but not the `known` ones. */
  constructor(room: string, part: string, known: readonly string[] = []) {
    this.#room = room
    this.#part = part.toLowerCase()
    this.#seen = new Set(known)
    this.#found = this.#walk()
  }

  /** The clients of the next users, `most` of them; none where the next few rooms have none that are new. */
  async look(most: number): Promise<ClientFigures[]> {
    if (this.#waiting.length === 0) await this.#walkOn()
    const users = this.#waiting.splice(0, most)
    this.users += users.length
    const clients = await figuresOf(users)
    // In a single room all are known by now.
    if (this.#room !== '' && this.#waiting.length === 0) this.isDone = true
    // A user's clients need not all be in the room.
    return this.#room === '' ? clients : clients.filter(({ rooms }) => rooms.includes(this.#room))
  }

  async #walkOn(): Promise<void> {
    const { value, done } = await this.#found.next()
    if (done) this.isDone = true
    else this.#waiting = value
  }

  /** The users of a few rooms at a time who were in none before. */
  async *#walk(): AsyncGenerator<string[], void> {
    for await (const rooms of this.#room === '' ? everyRoom() : [[this.#room]]) {
      const answers = await Promise.all(
        rooms.map((room) => ask<Members>('GET', path('rooms', room, 'members'))),
      )
      this.rooms += rooms.length
      this.isCut ||= answers.some(({ more }) => more)
      const users = answers.flatMap((one) => one.users.map(({ user }) => user))
      yield [...new Set(users)].filter((user) => this.#isNew(user))
    }
  }

  #isNew(user: string): boolean {
    if (this.#seen.has(user) || !user.toLowerCase().includes(this.#part)) return false
    this.#seen.add(user)
    return true
  }
}

async function* everyRoom(): AsyncGenerator<string[], void> {
  let after = ''
  for (;;) {
    const query = new URLSearchParams({ after, limit: String(ROOMS_A_PAGE) })
    const { rooms, more } = await ask<RoomsPage>('GET', `rooms?${query}`)
    for (let at = 0; at < rooms.length; at += AT_A_TIME)
      yield rooms.slice(at, at + AT_A_TIME).map(({ room }) => room)
    after = rooms.at(-1)?.room ?? ''
    if (!more || after === '') return
  }
}

/** The figures of all clients of these users, in their order. */
export async function figuresOf(users: readonly string[]): Promise<ClientFigures[]> {
  const found: ClientFigures[][] = []
  let next = 0
  const worker = async () => {
    while (next < users.length) {
      const at = next++
      found[at] = (await ask<UserAnswer>('GET', path('users', users[at] ?? ''))).clients
    }
  }
  await Promise.all(Array.from({ length: Math.min(AT_A_TIME, users.length) }, worker))
  return found.flat()
}
