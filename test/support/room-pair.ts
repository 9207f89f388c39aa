// A room with a member at each of two nodes, which can tell whether the nodes are whole.
import { type Client, connect } from './client.ts'
import type { Server } from './server.ts'
import { pollUntil } from './until.ts'

export class RoomPair {
  readonly room: string
  readonly clients: readonly [Client, Client]

  static async join(nodes: readonly Server[], room: string): Promise<RoomPair> {
    const [one, two] = nodes as [Server, Server]
    const pair = new RoomPair(room, [await connect(one, `1 ${room}`), await connect(two, `2 ${room}`)])
    for (const client of pair.clients) await client.join(room)
    return pair
  }

  constructor(room: string, clients: readonly [Client, Client]) {
    this.room = room
    this.clients = clients
  }

  /** A message each way has just been acked for the cluster and has arrived. */
  async crosses(): Promise<boolean> {
    for (const [from, to] of [this.clients, [...this.clients].reverse()] as [Client, Client][]) {
      const mark = `${this.room} ${performance.now()}`
      const { scope } = await from.publish(this.room, mark)
      if (scope !== 'cluster') return false
      const arrived = await to.next(({ content }) => content === mark, 2_000).catch(() => undefined)
      if (arrived === undefined) return false
    }
    return true
  }

  async close(): Promise<void> {
    await Promise.all(this.clients.map((client) => client.close()))
  }
}

/** Resolves, when messages cross in all of them, with how long that took. */
export async function areWhole(pairs: readonly RoomPair[], deadlineMs = 20_000): Promise<number> {
  const startMs = performance.now()
  await Promise.all(pairs.map((pair) => pollUntil(`${pair.room} crosses`, () => pair.crosses(), deadlineMs)))
  return performance.now() - startMs
}
