// Rooms on two nodes whose Redis loses things: a model of what a member may be told, kept beside what it is told.
import { randomUUID } from 'node:crypto'
import { type Client, connect, type Envelope } from './client.ts'
import type { Position } from './follower.ts'
import type { Server } from './server.ts'

export type Step = 'publish' | 'drop' | 'rejoin'

interface Publication {
  n: number
  scope: unknown
}

/** One room, a publisher, and a member that drops and comes back by turns to each node. */
export class LossyRoom {
  readonly room = `lossy ${randomUUID()}`
  recovered = 0
  lost = 0
  readonly #nodes: readonly Server[]
  readonly #publisher: Client
  readonly #published: Publication[] = []
  #member: Client | undefined
  /** By PROTOCOL.md: of the last `joined`, and the last offset seen since. */
  #position: Position | undefined
  /** Behind the newest message that the member has, or was told that it lost; live ones may be lost in silence. */
  #known = 0
  /** What came without an offset: the bridge did not bring it, and a recovery may bring it again. */
  readonly #unplaced = new Set<unknown>()
  #turn = 0

  static async open(nodes: readonly Server[], index: number): Promise<LossyRoom> {
    const publisher = await connect(nodes[index % nodes.length] as Server, `p${index}`)
    const room = new LossyRoom(nodes, publisher, index)
    await publisher.join(room.room)
    await room.step('rejoin', true)
    return room
  }

  constructor(nodes: readonly Server[], publisher: Client, turn: number) {
    this.#nodes = nodes
    this.#publisher = publisher
    this.#turn = turn
  }

  /** Carries a step out; throws when a recovery has a hole, or, with Redis whole, when a live message is missing. */
  async step(step: Step, isWhole: boolean): Promise<void> {
    if (step === 'publish') await this.#publish(isWhole)
    else if (step === 'rejoin') await this.#rejoin(isWhole)
    else {
      this.#member?.socket.destroy()
      this.#member = undefined
    }
  }

  close(): void {
    this.#member?.socket.destroy()
    this.#publisher.socket.destroy()
  }

  async #publish(isWhole: boolean): Promise<void> {
    const n = this.#published.length
    const { scope } = await this.#publisher.publish(this.room, n)
    this.#published.push({ n, scope })
    if (!isWhole) return
    if (scope !== 'cluster') throw new Error(`${n} went no further than its node`)
    if (this.#member === undefined) return
    this.#see(await this.#member.next(({ type, content }) => type === 'message' && content === n))
  }

  #see({ type, offset, content }: Envelope): void {
    if (type !== 'message') return
    this.#known = Math.max(this.#known, Number(content) + 1)
    if (offset === undefined) this.#unplaced.add(content)
    else if (this.#position !== undefined) this.#position.offset = Number(offset)
  }

  /** What was acked `node` may have reached Redis all the same, and then comes a second time, or late. */
  #mayComeLate(n: unknown): boolean {
    return this.#unplaced.has(n) || this.#published[Number(n)]?.scope === 'node'
  }

  async #rejoin(isWhole: boolean): Promise<void> {
    this.#member ??= await connect(this.#nodes[this.#turn++ % this.#nodes.length] as Server, 'm')
    for (const envelope of await this.#member.fence()) this.#see(envelope)
    const since = this.#position && { ...this.#position }
    const joined = await this.#member.request({ type: 'join', room: this.room, ...(since && { since }) })
    if (joined.type !== 'joined') throw new Error(JSON.stringify(joined))
    if (isWhole && (joined.scope !== undefined || joined.epoch === undefined))
      throw new Error(`joined on its node only: ${JSON.stringify(joined)}`)
    const got = (await this.#member.fence())
      .filter(({ type }) => type === 'message')
      .map(({ content }) => content)
    const missed = this.#published.slice(this.#known)
    if (joined.recovered === true) {
      this.recovered++
      const numbers = missed.map(({ n }) => n).filter((n) => got.includes(n))
      const isWholeRun = missed.every(({ n, scope }) => scope !== 'cluster' || got.includes(n))
      const due = got.filter((n) => Number(n) >= this.#known || !this.#mayComeLate(n))
      if (!isWholeRun || JSON.stringify(due) !== JSON.stringify(numbers))
        throw new Error(
          `recovered since ${JSON.stringify(since)}: ${got}; published: ${JSON.stringify(missed)}`,
        )
    } else {
      if (since !== undefined) this.lost++
      const due = got.filter((n) => !this.#mayComeLate(n))
      if (due.length > 0)
        throw new Error(
          `not recovered since ${JSON.stringify(since)}, and yet ${got}; ${JSON.stringify(joined)}; published: ${JSON.stringify(this.#published)}`,
        )
    }
    this.#known = this.#published.length
    const { epoch, offset } = joined
    this.#position = epoch === undefined ? undefined : { epoch: String(epoch), offset: Number(offset) }
  }
}
