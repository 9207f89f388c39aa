import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import type { Presence, PresenceHost, Present } from '../../src/presence/presence.ts'
import { pollUntil } from './until.ts'

/** A node in miniature: a presence, and what it was told of other nodes' users. */
export class PresenceNode implements PresenceHost {
  readonly node: string
  readonly presence: Presence
  readonly users = new Map<string, Map<string, Present>>()
  /** What this node's users are, by room. */
  readonly own = new Map<string, Present[]>()
  changes = 0

  constructor(node: string, presence: Presence) {
    this.node = node
    this.presence = presence
    presence.start(this)
  }

  present(room: string): Present[] {
    return this.own.get(room) ?? []
  }

  hear(room: string, node: string, changes: readonly Present[]): void {
    for (const one of changes) {
      this.changes++
      const name = `${node} ${one.user}`
      if (one.clients === 0) this.#in(room).delete(name)
      else this.#in(room).set(name, one)
    }
  }

  hearAll(room: string, node: string, users: readonly Present[]): void {
    for (const name of this.#in(room).keys())
      if (name.startsWith(`${node} `) && !users.some(({ user }) => name === `${node} ${user}`))
        this.#in(room).delete(name)
    this.hear(room, node, users)
  }

  /** Says so and tells it. */
  announce(room: string, ...changes: Present[]): void {
    const others = this.present(room).filter(({ user }) => !changes.some((one) => one.user === user))
    this.own.set(room, [...others, ...changes.filter(({ clients }) => clients > 0)])
    this.presence.announce(room, changes)
  }

  list(room: string): string[] {
    return [...this.#in(room).values()]
      .map(({ user, clients, info }) => `${user} ${clients} ${info}`)
      .toSorted((a, b) => (a < b ? -1 : 1))
  }

  async lists(room: string, ...users: string[]): Promise<void> {
    const wanted = JSON.stringify(users)
    await pollUntil(wanted, () => JSON.stringify(this.list(room)) === wanted || undefined)
  }

  #in(room: string): Map<string, Present> {
    let users = this.users.get(room)
    if (users === undefined) {
      users = new Map()
      this.users.set(room, users)
    }
    return users
  }
}

export interface PresenceBackEnd {
  /** How many nodes hear each other. */
  nodes: 1 | 2
  /** Makes a node; `close` is called when `presence.stop()` has been. */
  create(): Promise<{ node: string; presence: Presence; close(): Promise<void> }>
}

const rule = { lingerMs: 100, listMax: 200, intervalMs: 100 }
const here = (user: string, clients = 1, info?: string): Present => ({ user, clients, info })

/** What every presence does. */
export function presenceContract(name: string, { nodes, create }: PresenceBackEnd): void {
  async function nodeFor(t: Test): Promise<PresenceNode> {
    const { node: id, presence, close } = await create()
    const node = new PresenceNode(id, presence)
    t.teardown(async () => {
      await presence.stop()
      await close()
    })
    return node
  }

  t.test(`${name}: a room opens, is told of and closes, also when nobody else is there`, async (t) => {
    const one = await nodeFor(t)
    const room = `${randomUUID()} {ä}:*`
    await one.presence.open(room, rule)
    one.announce(room, here('ada'), here('__proto__', 2, '{"a":1}'))
    one.announce(room, here('ada', 0))
    one.presence.close(room)
    // What is not open is nobody's business.
    one.presence.announce(room, [here('bob')])
    one.presence.close(room)
    await one.presence.open(room, rule)
    t.strictSame(one.list(room), [], 'a node is not told of itself')
  })

  if (nodes < 2) return

  t.test(
    `${name}: who opens a room knows the others' users; changes come, and all goes with a close`,
    async (t) => {
      const [one, two] = [await nodeFor(t), await nodeFor(t)]
      const room = randomUUID()
      await one.presence.open(room, rule)
      one.announce(room, here('ada', 1, '{"n":9007199254740993}'), here('bob', 2))
      await two.presence.open(room, rule)
      t.strictSame(two.list(room), ['ada 1 {"n":9007199254740993}', 'bob 2 undefined'])
      one.announce(room, here('ada', 0), here('eve'))
      await two.lists(room, 'bob 2 undefined', 'eve 1 undefined')
      two.announce(room, here('bob', 1))
      await one.lists(room, 'bob 1 undefined')
      one.presence.close(room)
      await two.lists(room)
      one.own.delete(room)
      await one.presence.open(room, rule)
      t.strictSame(one.list(room), ['bob 1 undefined'])
    },
  )

  t.test(`${name}: rooms do not mix, and ten thousand users fit`, async (t) => {
    const [one, two] = [await nodeFor(t), await nodeFor(t)]
    const [room, other] = [randomUUID(), randomUUID()]
    await one.presence.open(room, rule)
    await one.presence.open(other, rule)
    const users = Array.from({ length: 10_000 }, (_, n) =>
      here(`user ${n}`, 1, n % 100 ? undefined : `{"n":${n}}`),
    )
    one.announce(room, ...users)
    one.announce(other, here('ada'))
    await two.presence.open(other, rule)
    t.strictSame(two.list(other), ['ada 1 undefined'])
    await two.presence.open(room, rule)
    t.equal(two.list(room).length, 10_000)
    one.announce(room, ...users.slice(1).map(({ user }) => here(user, 0)))
    await two.lists(room, 'user 0 1 {"n":0}')
  })

  t.test(`${name}: the users of a node that ends stay for lingerMs`, async (t) => {
    const [one, two] = [await nodeFor(t), await nodeFor(t)]
    const room = randomUUID()
    await one.presence.open(room, rule)
    await two.presence.open(room, rule)
    one.announce(room, here('ada'))
    await two.lists(room, 'ada 1 undefined')
    await one.presence.stop()
    await sleep(30)
    t.strictSame(two.list(room), ['ada 1 undefined'])
    await two.lists(room)
  })
}
