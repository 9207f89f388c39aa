import { z } from 'zod'
import { userName } from '../auth/permissions.ts'
import type { BridgeStatus } from '../bridge/bridge.ts'
import { clientFigures, nodeFigures } from '../protocol/api.ts'
import { version } from '../version.ts'
import type { Client } from './client.ts'
import { fitting } from './fitting.ts'
import { textFrame } from './frame.ts'
import { LoopWatch } from './loop-watch.ts'
import { type Question, type Questions, summed } from './questions.ts'
import { membersAsked, membersOnNode, RoomMembers } from './room-members.ts'
import { RoomPage, roomsAsked, roomsOnNode } from './room-page.ts'
import type { Rooms } from './rooms.ts'
import { each } from './sliced.ts'
import { type Summed, sumsOf } from './sums.ts'

/** What inquiries ask of their hub. */
export interface InquiriesContext extends Summed {
  readonly node: string
  readonly size: number
  readonly uptimeMs: number
  readonly rooms: Rooms
  readonly bridgeStatus: BridgeStatus
  clients(): Iterable<Client>
  client(id: string): Client | undefined
}

/** Clients of one user that one node tells of. */
const TOLD_MAX = 1000
/** Of all these clients together, so that a node's answer is not too large. */
const ROOMS_TOLD = 2000
const CLIENTS_CHARACTERS = 900_000

const clientId = z.string().max(64)
const foundClients = z.object({ clients: z.array(clientFigures), more: z.boolean() })

/** What the API asks all nodes. */
export class Inquiries {
  readonly #questions: Questions
  readonly #loop = new LoopWatch()
  readonly #rooms: Question<z.infer<typeof roomsAsked>, z.infer<typeof roomsOnNode>>
  readonly #members: Question<z.infer<typeof membersAsked>, z.infer<typeof membersOnNode>>
  readonly #user: Question<{ user: string }, z.infer<typeof foundClients>>
  readonly #client: Question<{ client: string }, z.infer<typeof foundClients>>
  readonly #nodes: Question<object, z.infer<typeof nodeFigures>>
  readonly #deliver: Question<{ users: string[]; exclude?: string | undefined; text: string }, number>

  constructor(questions: Questions, hub: InquiriesContext) {
    this.#questions = questions
    this.#rooms = {
      ...{ kind: 'rooms', with: roomsAsked, answer: roomsOnNode },
      carryOut: (asked) => RoomPage.ofNode(hub.rooms, asked),
    }
    this.#members = {
      ...{ kind: 'members', with: membersAsked, answer: membersOnNode },
      carryOut: ({ room }) => RoomMembers.ofNode(hub.rooms, room),
    }
    this.#user = {
      ...{ kind: 'user', with: z.object({ user: userName }), answer: foundClients },
      carryOut: async ({ user }) => {
        const clients: Client[] = []
        await each(hub.clients(), (client) => {
          if (client.user === user) clients.push(client)
        })
        return figuresOf(clients, hub.node)
      },
    }
    this.#client = {
      ...{ kind: 'client', with: z.object({ client: clientId }), answer: foundClients },
      carryOut: ({ client }) => {
        const found = hub.client(client)
        return figuresOf(found === undefined ? [] : [found], hub.node)
      },
    }
    this.#nodes = {
      ...{ kind: 'node', with: z.object({}), answer: nodeFigures },
      carryOut: () => figuresOfNode(hub, this.#loop),
    }
    const delivery = z.object({ users: z.array(userName), exclude: clientId.optional(), text: z.string() })
    this.#deliver = {
      ...{ kind: 'deliver', with: delivery, answer: z.int().min(0) },
      carryOut: async ({ users, exclude, text }) => {
        const wanted = new Set(users)
        const frame = textFrame(text)
        let count = 0
        await each(hub.clients(), (client) => {
          if (!wanted.has(client.user) || client.id === exclude) return
          if (client.send(frame, undefined)) count++
        })
        return count
      },
    }
    const all = [this.#rooms, this.#members, this.#user, this.#client, this.#nodes, this.#deliver]
    for (const question of all) questions.add(question as Question<unknown, unknown>)
  }

  /** Watches nothing any more. */
  close(): void {
    this.#loop.close()
  }

  /** Rooms in the order of their names, `limit` of those behind `after`. */
  async rooms(asked: z.infer<typeof roomsAsked>) {
    const { answers, scope, nodes } = await this.#questions.ask(this.#rooms, asked)
    return { ...RoomPage.merged(answers, asked.limit), scope, nodes }
  }

  /** A room's members and users, counted. */
  async room(room: string) {
    // Of all names that begin with it, it is the first.
    const { rooms, scope, nodes } = await this.rooms({ prefix: room, after: '', limit: 1 })
    const [found] = rooms
    const counts = found?.room === room ? found : { room, members: 0, users: 0 }
    return { ...counts, more: counts.users === undefined, scope, nodes }
  }

  /** Users in a room with how many clients each. */
  async members(room: string) {
    const { answers, scope, nodes } = await this.#questions.ask(this.#members, { room })
    return { ...RoomMembers.merged(answers), scope, nodes }
  }

  async user(user: string) {
    const { answers, scope, nodes } = await this.#questions.ask(this.#user, { user })
    return { ...together(answers), scope, nodes }
  }

  /** A client's figures, where there is such a client. */
  async client(client: string) {
    const { answers, scope, nodes } = await this.#questions.ask(this.#client, { client })
    return { found: together(answers).clients[0], scope, nodes }
  }

  async nodes() {
    return this.#questions.ask(this.#nodes, {})
  }

  /** Gives a finished message to all clients of these users; how many that were. */
  async deliver(users: string[], exclude: string | undefined, text: string) {
    return summed(await this.#questions.ask(this.#deliver, { users, exclude, text }))
  }
}

async function figuresOfNode(hub: InquiriesContext, loop: LoopWatch): Promise<z.infer<typeof nodeFigures>> {
  const { node, size: clients, uptimeMs } = hub
  const { kind, state } = hub.bridgeStatus
  const seen = { node, clients, rooms: hub.rooms.size, version, uptimeMs, bridge: { kind, state } }
  const { messagesOut: deliveries, outboxBytes } = await sumsOf(hub)
  const { published, drops, roundTrips } = hub.counters
  const { bounds, counts, count } = roundTrips
  const over = count - counts.reduce((sum, one) => sum + one, 0)
  const loopHeldMs = loop.worstMs()
  return {
    ...{ ...seen, published, deliveries, drops, outboxBytes },
    roundTrips: { boundsMs: [...bounds], counts: [...counts, over] },
    ...(loopHeldMs !== undefined && { loopHeldMs }),
  }
}

function figuresOf(clients: readonly Client[], node: string): z.infer<typeof foundClients> {
  const some = clients.slice(0, TOLD_MAX)
  const roomsEach = Math.floor(ROOMS_TOLD / Math.max(1, some.length))
  const told = some.map((client) => {
    const { rooms, ...stats } = client.stats()
    return { ...stats, node, transport: client.transport, rooms: rooms.slice(0, roomsEach) }
  })
  const fit = fitting(told, CLIENTS_CHARACTERS)
  const isCut = some.some((client) => client.rooms.size > roomsEach)
  return { clients: fit, more: isCut || clients.length > fit.length }
}

function together(answers: readonly z.infer<typeof foundClients>[]) {
  const clients = answers.flatMap((one) => one.clients).slice(0, TOLD_MAX)
  return { clients, more: answers.some(({ more }) => more) }
}
