import { deepEqual, equal, ok } from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { compare, type SimClient, SimNetwork, type SimNode } from '../support/presence-network.ts'

const rule = { lingerMs: 5000, listMax: 4, intervalMs: 100 }
const ROOM = '__proto__'
const users = ['ada', 'bob', '__proto__', 'constructor', 'eve', 'fay', 'gus']

const node = fc.nat(2)
const user = fc.constantFrom(...users)
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant('join'), node, user, watches: fc.boolean(), info: fc.nat(2) }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('leave'), which: fc.nat(20) }) },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('reload'), which: fc.nat(20), node, inMs: fc.nat(4000) }),
  },
  fc.record({ kind: fc.constant('kill'), node }),
  fc.record({ kind: fc.constant('end'), node }),
  fc.record({ kind: fc.constant('start'), node }),
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('cut'), node, forMs: fc.nat(30_000) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('outage'), forMs: fc.nat(20_000) }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('lose'), node, count: fc.integer({ min: 1, max: 3 }) }),
  },
)
const schedule = fc.array(fc.record({ step, thenMs: fc.oneof(fc.nat(300), fc.nat(8000)) }), {
  minLength: 1,
  maxLength: 30,
})
type Step = {
  kind: string
  node: number
  user: string
  watches: boolean
  info: number
  which: number
  inMs: number
  forMs: number
  count: number
}

/** Carries a step out; several may be under way at one time. */
function play(network: SimNetwork, clients: SimClient[], step: Step): void {
  const { time } = network
  const at = network.nodes.filter(({ isAlive }) => isAlive)
  const node = at[step.node % Math.max(1, at.length)]
  const client = clients[step.which % Math.max(1, clients.length)]
  const join = (user: string, watches: boolean, info?: string) => {
    const joined = node && network.join(node, ROOM, user, watches, info)
    if (joined !== undefined) clients.push(joined)
  }
  if (step.kind === 'join') join(step.user, step.watches, step.info === 0 ? undefined : `{"n":${step.info}}`)
  else if (step.kind === 'leave' && client) network.leave(client)
  else if (step.kind === 'reload' && client?.isMember) {
    network.leave(client)
    time.after(step.inMs, () => join(client.user, client.watches, client.info))
  } else if (step.kind === 'kill' && node) network.kill(node)
  else if (step.kind === 'end' && node) network.end(node)
  else if (step.kind === 'start' && at.length < 3) network.addNode(`node-${network.nodes.length}`)
  else if (step.kind === 'cut' && node?.isLinked) {
    network.link(node, false)
    time.after(step.forMs, () => network.link(node, true))
  } else if (step.kind === 'outage' && network.isUp) {
    network.setUp(false)
    time.after(step.forMs, () => network.setUp(true))
  } else if (step.kind === 'lose' && node) node.loses = step.count
}

/** Every member has what `presence` says, and that is who is there. */
function isTrue(network: SimNetwork): void {
  const truth = network.truth(ROOM)
  for (const node of network.nodes)
    for (const client of node.clients) {
      const { count, users, more } = JSON.parse(node.room(ROOM, rule).text(undefined))
      equal(count, truth.length, `${node.id} counts them`)
      const said = new Map<string, string>(
        users.map((one: { user: string; info?: unknown }) => [one.user, JSON.stringify(one.info)]),
      )
      if (more !== true) deepEqual([...said.keys()].toSorted(compare), truth, `${node.id} lists them`)
      if (!client.watches) continue
      equal(client.count, count, `${client.user} on ${node.id} counts them`)
      equal(client.listed === undefined, more === true, `${client.user} on ${node.id} has a list or none`)
      if (client.listed !== undefined)
        deepEqual(sorted(client.listed), sorted(said), `${client.user} on ${node.id}`)
    }
}

const sorted = (map: Map<unknown, unknown>) => [...map].map(String).toSorted(compare)

t.test('once all is quiet every member is where `presence` is, and that is the truth', async (t) => {
  let members = 0
  await fc.assert(
    fc.asyncProperty(schedule, fc.infiniteStream(fc.oneof(fc.nat(3), fc.nat(150))), async (steps, delays) => {
      const network = new SimNetwork(3, rule)
      network.delayMs = () => 1 + (delays.next().value ?? 0)
      const clients: SimClient[] = []
      for (const { step, thenMs } of steps) {
        play(network, clients, step as Step)
        await network.time.pass(thenMs)
      }
      await network.time.pass(60_000)
      // What was lost without a word shows with the next word.
      network.delayMs = () => 1
      for (const node of network.nodes) {
        node.loses = 0
        if (node.isAlive) network.join(node, ROOM, `last ${node.id}`, true)
      }
      await network.time.pass(30_000)
      isTrue(network)
      members += network.truth(ROOM).length
    }),
    { numRuns: 120 },
  )
  t.ok(members > 360, `${members} members were left`)
})

t.test(
  'nobody leaves who stays, or reloads on the same node, while Redis and links come and go',
  async () => {
    const outage = fc.record({
      node: fc.option(node, { nil: undefined }),
      forMs: fc.nat(25_000),
      thenMs: fc.nat(12_000),
    })
    const reload = fc.record({ which: fc.nat(8), inMs: fc.nat(4900), thenMs: fc.nat(6000) })
    const mute = fc.record({ mute: node, forMs: fc.nat(9000), thenMs: fc.nat(6000) })
    const visit = fc.record({ to: node, stayMs: fc.nat(9000), thenMs: fc.nat(6000) })
    const steps = fc.array(fc.oneof(outage, reload, visit, mute), { minLength: 1, maxLength: 12 })
    await fc.assert(
      fc.asyncProperty(steps, fc.infiniteStream(fc.nat(200)), async (steps, delays) => {
        const network = new SimNetwork(3, { ...rule, listMax: 100 })
        network.delayMs = () => 1 + (delays.next().value ?? 0)
        const stay = network.nodes.flatMap((node) =>
          users.slice(0, 3).map((user) => network.join(node, ROOM, `${user} ${node.id}`, true) as SimClient),
        )
        const all = [...stay]
        const backMs = new Map<SimNode, number>()
        await network.time.pass(3000)
        for (const step of steps) {
          if ('to' in step) {
            const guest = network.join(network.nodes[step.to] as SimNode, ROOM, `guest ${all.length}`, true)
            network.time.after(step.stayMs, () => guest !== undefined && network.leave(guest))
          } else if ('mute' in step) {
            const silent = network.nodes[step.mute] as SimNode
            if (network.time.now < (backMs.get(silent) ?? 0) + 2000) continue
            silent.isMute = true
            const forMs = step.forMs % 7000
            backMs.set(silent, network.time.now + forMs)
            network.time.after(forMs, () => {
              silent.isMute = false
            })
          } else if ('which' in step) {
            const old = stay[step.which % stay.length] as SimClient
            if (!old.isMember) continue
            network.leave(old)
            network.time.after(step.inMs, () => {
              const again = network.join(old.node, ROOM, old.user, true) as SimClient
              stay[stay.indexOf(old)] = again
              all.push(again)
            })
          } else if (step.node === undefined) {
            network.setUp(false)
            network.time.after(step.forMs, () => network.setUp(true))
          } else {
            const node = network.nodes[step.node] as SimNode
            if (network.time.now < (backMs.get(node) ?? 0) + 2000) continue
            network.link(node, false)
            // A node that is away from the others for longer is dead to them.
            const forMs = step.forMs % 7000
            backMs.set(node, network.time.now + forMs)
            network.time.after(forMs, () => network.link(node, true))
          }
          await network.time.pass(step.thenMs)
        }
        await network.time.pass(40_000)
        for (const { user, left } of all)
          deepEqual(
            left.filter((one) => !one.startsWith('guest')),
            [],
            `${user} sees nobody leave`,
          )
        isTrue(network)
      }),
      { numRuns: 80 },
    )
  },
)

t.test('a reload within lingerMs is neither a leave nor an enter, also onto another node', async () => {
  const reload = fc.record({ to: node, inMs: fc.nat(4500), thenMs: fc.nat(7000) })
  await fc.assert(
    fc.asyncProperty(fc.array(reload, { minLength: 1, maxLength: 10 }), async (reloads) => {
      const network = new SimNetwork(3, rule)
      const watchers = network.nodes.map((node) => network.join(node, ROOM, 'watcher', true) as SimClient)
      let ada = network.join(network.nodes[0] as SimNode, ROOM, 'ada', false) as SimClient
      await network.time.pass(2000)
      const before = watchers.map(({ envelopes }) => envelopes)
      for (const { to, inMs, thenMs } of reloads) {
        network.leave(ada)
        await network.time.pass(inMs)
        ada = network.join(network.nodes[to] as SimNode, ROOM, 'ada', false) as SimClient
        await network.time.pass(thenMs)
      }
      deepEqual(
        watchers.map(({ envelopes }) => envelopes),
        before,
        'nobody is told anything',
      )
      network.leave(ada)
      await network.time.pass(6000)
      for (const { left } of watchers) deepEqual(left, ['ada'])
    }),
    { numRuns: 15 },
  )
})

t.test("a dead node's users leave within 15 s, each told once; a closed one's after lingerMs", async () => {
  for (const how of ['kill', 'end'] as const) {
    const network = new SimNetwork(3, { ...rule, listMax: 100 })
    const [one, two, three] = network.nodes as [SimNode, SimNode, SimNode]
    const watchers = [one, two].map((node) => network.join(node, ROOM, 'watcher', true) as SimClient)
    for (const user of users) network.join(three, ROOM, user, false)
    await network.time.pass(5000)
    for (const { count } of watchers) equal(count, 1 + users.length)
    network[how](three)
    await network.time.pass(how === 'kill' ? 9000 : 4500)
    for (const { left } of watchers) deepEqual(left, [], `${how}: they are waited for`)
    await network.time.pass(how === 'kill' ? 6000 : 1000)
    for (const { left } of watchers) deepEqual(left.toSorted(compare), users.toSorted(compare), how)
    isTrue(network)
  }
})

t.test(
  'a node that was taken for dead, and knows nothing of it, is asked when it is heard again',
  async () => {
    const network = new SimNetwork(2, { ...rule, listMax: 100 })
    const [one, two] = network.nodes as [SimNode, SimNode]
    const watcher = network.join(one, ROOM, 'watcher', true) as SimClient
    network.join(two, ROOM, 'ada', false)
    await network.time.pass(3000)
    // Frozen: what is told it is heard later, and it tells nothing.
    two.isLinked = false
    await network.time.pass(13_000)
    deepEqual(watcher.left, ['ada'])
    two.isLinked = true
    await network.time.pass(3000)
    isTrue(network)
  },
)

t.test('users of a room that a node has closed leave, although it could not say so then', async () => {
  const network = new SimNetwork(2, { ...rule, listMax: 100 })
  const [one, two] = network.nodes as [SimNode, SimNode]
  const watcher = network.join(one, ROOM, 'watcher', true) as SimClient
  for (const isBack of [false, true]) {
    const guest = network.join(two, ROOM, 'guest', false) as SimClient
    await network.time.pass(3000)
    two.isMute = true
    network.leave(guest)
    await network.time.pass(7000)
    const again = isBack ? network.join(two, ROOM, 'guest', false) : undefined
    two.isMute = false
    await network.time.pass(5000)
    isTrue(network)
    deepEqual(watcher.left, ['guest'], 'told once')
    if (again !== undefined) network.leave(again)
  }
  await network.time.pass(10_000)
  isTrue(network)
  equal(network.time.waiting, 2, 'the two beats')
})

t.test('a quiet room costs nothing: no timer, no message', async () => {
  const network = new SimNetwork(2, rule)
  for (const node of network.nodes) for (const user of users) network.join(node, ROOM, user, true)
  await network.time.pass(10_000)
  const { told } = network
  equal(network.time.waiting, 2, 'the two beats')
  await network.time.pass(60_000)
  equal(network.told, told)
  equal(network.time.waiting, 2)
})

t.test('nobody is told more often than each intervalMs, whatever happens', async () => {
  const network = new SimNetwork(2, rule)
  const [one, two] = network.nodes as [SimNode, SimNode]
  const watcher = network.join(one, ROOM, 'watcher', true) as SimClient
  for (let n = 0; n < 3000; n++) {
    const client = network.join(n % 2 ? one : two, ROOM, `user ${n % 9}`, n % 3 === 0)
    await network.time.pass(1)
    if (client !== undefined && n % 5 !== 0) network.leave(client)
  }
  await network.time.pass(1000)
  ok(watcher.envelopes <= 42, `${watcher.envelopes} in 4 s`)
  isTrue(network)
})

t.test('what no node of this version has told is refused', async (t) => {
  const network = new SimNetwork(1, rule)
  const [{ gossip }] = network.nodes as [SimNode]
  const said = { v: 1, node: 'x', life: 1, kind: 'some', seq: 1, users: [['ada', 1]] }
  t.equal(gossip.hear(ROOM, JSON.stringify(said)), true)
  for (const wrong of [
    { ...said, v: 2 },
    { ...said, node: '' },
    { ...said, seq: -1 },
    { ...said, kind: 'all' },
    { ...said, users: [['ada', 1, '{']] },
    { ...said, users: [['a'.repeat(300), 1]] },
    { ...said, users: [['ada', 1, JSON.stringify('x'.repeat(2000))]] },
    [],
    null,
  ])
    t.equal(gossip.hear(ROOM, JSON.stringify(wrong)), false, JSON.stringify(wrong).slice(0, 80))
  t.equal(gossip.hear(ROOM, 'x'.repeat(1_000_000)), false)
})
