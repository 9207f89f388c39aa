// The order of a room's messages, whatever lies between the node and its Redis (PROTOCOL.md, Recovery).
import { mock } from 'node:test'
import fc from 'fast-check'
import t from 'tap'
import type { Replay } from '../../src/bridge/bridge.ts'
import type { Clock } from '../../src/clock.ts'
import { Hub } from '../../src/hub/hub.ts'
import { MemoryPresence } from '../../src/presence/memory-presence.ts'
import { messageHead } from '../../src/protocol/codec.ts'
import { turnEnd } from '../support/fake-socket.ts'
import { Reader } from '../support/reader.ts'
import { UnrulyBridge } from '../support/unruly-bridge.ts'

const silentLog = { debug() {}, info() {}, warn() {}, error() {} }
const limits = {
  maxClients: 100,
  maxRoomsPerClient: 3,
  maxMessageBytes: 1000,
  outboxMaxBytes: 100_000,
  slowClient: 'disconnect' as const,
  pingIntervalMs: 100_000,
  pongTimeoutMs: 100_000,
  historyTtlMs: 60_000,
  historyMaxBytes: 1_000_000,
  revocationTtlMs: 60_000,
  jwtClockToleranceMs: 0,
}
const HOLD_MS = 500
const READ_AGAIN_MS = 50
// Each message has a time of its own.
let now = 1e12
const clock: Clock = { steadyMs: () => 1_000_000, wallMs: () => now++ }

// The test says when time passes; nothing here depends on the machine.
mock.timers.enable({ apis: ['setTimeout'] })
t.teardown(() => mock.timers.reset())

type Step =
  | ['publish' | 'bring' | 'answer', number]
  | [
      | 'flush'
      | 'serve'
      | 'swap'
      | 'deaf'
      | 'hear'
      | 'away'
      | 'back'
      | 'silent'
      | 'loud'
      | 'catchUp'
      | 'overtake'
      | 'fail'
      | 'late',
    ]
  | ['say' | 'echo' | 'join' | 'fresh' | 'leave' | 'drop', number]

const READERS = 4
const reader = fc.nat(READERS - 1)
const step = <Kind extends Step[0]>(weight: number, kind: Kind, ...more: fc.Arbitrary<number>[]) => ({
  weight,
  arbitrary: fc.tuple(fc.constant(kind), ...more) as unknown as fc.Arbitrary<Step>,
})
/** What happens on any day. */
const ordinary = [
  step(8, 'publish', fc.integer({ min: 1, max: 3 })),
  step(8, 'bring', fc.integer({ min: 1, max: 4 })),
  step(3, 'say', reader),
  step(2, 'echo', reader),
  step(4, 'serve'),
  step(6, 'answer', fc.integer({ min: 1, max: 3 })),
  step(3, 'overtake'),
  step(5, 'join', reader),
  step(2, 'fresh', reader),
  step(1, 'leave', reader),
  step(2, 'drop', reader),
  step(1, 'catchUp'),
]
/** What the node can make good. */
const gaps = [step(2, 'deaf'), step(3, 'hear'), step(1, 'swap')]
const silences = [step(2, 'silent'), step(3, 'loud')]
const losses = [step(1, 'flush')]
/** What it cannot. */
const outages = [step(1, 'away'), step(2, 'back'), step(2, 'fail'), step(1, 'late')]

class World {
  readonly bridge: UnrulyBridge
  readonly hub: Hub
  readonly readers: Reader[]

  constructor(historySize: number, isPrompt: boolean) {
    this.bridge = new UnrulyBridge(historySize)
    this.bridge.isPrompt = isPrompt
    this.hub = new Hub({
      bridge: this.bridge,
      presence: new MemoryPresence(),
      limits: { ...limits, historySize },
      log: silentLog,
      clock,
    })
    this.readers = Array.from(
      { length: READERS },
      (_, index) => new Reader(this.hub, clock, this.bridge.sent, index % 2 === 0),
    )
  }

  async run(steps: readonly Step[]): Promise<void> {
    for (const [kind, argument = 0] of steps) {
      this.#do(kind, argument)
      await this.settle()
    }
  }

  async settle(): Promise<void> {
    await turnEnd()
    for (const one of this.readers) one.take()
  }

  #do(kind: Step[0], argument: number): void {
    const { bridge, readers } = this
    const one = readers[argument] as Reader
    if (kind === 'publish') for (let n = 0; n < argument; n++) bridge.publishElsewhere()
    if (kind === 'bring') bridge.bring(argument)
    if (kind === 'answer') for (let n = 0; n < argument; n++) bridge.answer()
    if (kind === 'overtake') bridge.answerLast()
    if (kind === 'serve') bridge.serve()
    if (kind === 'flush') bridge.flush()
    if (kind === 'swap') bridge.swap()
    if (kind === 'deaf' || kind === 'hear') bridge.isDeaf = kind === 'deaf'
    if (kind === 'away' || kind === 'back') bridge.isAway = kind === 'away'
    if (kind === 'silent' || kind === 'loud') bridge.isSilent = kind === 'silent'
    if (kind === 'catchUp') void this.hub.bridgeHost.catchUp(bridge.room)
    if (kind === 'fail') bridge.fail()
    if (kind === 'late') mock.timers.tick(HOLD_MS)
    if (kind === 'join') one.join()
    if (kind === 'fresh') one.join(true)
    if (kind === 'leave') one.leave()
    if (kind === 'drop') one.drop()
    if ((kind === 'say' || kind === 'echo') && one.isJoined && !one.isAsking)
      one.say({ type: 'message', room: bridge.room, content: bridge.sent.length, echo: kind === 'echo' })
  }

  /** All that is under way arrives, and the node is told that something may be missing. */
  async quieten(): Promise<void> {
    const { bridge, hub } = this
    Object.assign(bridge, { isAway: false, isSilent: false, isDeaf: false })
    await this.#arrive()
    const caughtUp = hub.bridgeHost.catchUp(bridge.room)
    await this.#arrive()
    await caughtUp
    await this.settle()
    // Plain ones may have joined again just now.
    await this.#arrive()
  }

  /** One more message, when all is well again: everybody gets it in its place, and can name that. */
  async sayLast(): Promise<string[]> {
    const { bridge, readers } = this
    bridge.publishElsewhere()
    await this.#arrive()
    const { offset } = bridge.end
    return readers
      .filter(({ isJoined }) => isJoined)
      .filter(({ told, position }) => told?.offset !== offset || (position && position.offset !== offset))
      .map(({ log }) => `is not at ${offset} [${log}]`)
  }

  async #arrive(): Promise<void> {
    for (let n = 0; n < 300; n++) {
      if (this.bridge.isQuiet) {
        // What could not be read is asked for again.
        mock.timers.tick(READ_AGAIN_MS)
        await this.settle()
        if (this.bridge.isQuiet) return
      }
      this.bridge.answer()
      this.bridge.bring(1)
      await this.settle()
    }
  }

  get faults(): string[] {
    return this.readers.flatMap(({ faults }) => faults)
  }

  /** What members lack of the present epoch, behind where they began in it. */
  get lacking(): string[] {
    const { epoch, offset } = this.bridge.end
    return this.readers
      .filter(({ isJoined }) => isJoined)
      .flatMap((one) => {
        const { told } = one
        if (told?.epoch !== epoch) return [`is told of ${told?.epoch}, not ${epoch} [${one.log}]`]
        const lacks = one.lacks(epoch, one.beginnings.get(epoch) ?? offset, offset)
        return lacks.length === 0 ? [] : [`lacks ${lacks} [${one.log}]`]
      })
  }

  /** What came on the channel while they were members, of whatever epoch, and has not reached them. */
  get undelivered(): string[] {
    return this.readers
      .filter(({ isJoined }) => isJoined)
      .flatMap((one) =>
        this.bridge.sent
          .slice(one.due)
          .filter(({ n, exclude, isLost }) => !isLost && !one.has.has(n) && !one.isOwn(exclude))
          .map(({ n }) => `has not got ${n} [${one.log}]`),
      )
  }
}

interface Kind {
  steps: { weight: number; arbitrary: fc.Arbitrary<Step> }[]
  historySize?: number
  isPrompt?: boolean
  /** Whether everything must have come in the end. */
  isWhole: boolean
  /** Whether what the channel has brought must have come, although history was lost. */
  isDelivered?: boolean
}

const kinds: Record<string, Kind> = {
  'gaps and late answers': { steps: [...ordinary, ...gaps], isWhole: true, isDelivered: true },
  'gaps, and answers at once': {
    steps: [...ordinary, ...gaps],
    isPrompt: true,
    isWhole: true,
    isDelivered: true,
  },
  'early deliveries': { steps: [...ordinary, ...gaps, ...silences], isWhole: true, isDelivered: true },
  'new epochs': { steps: [...ordinary, ...losses], isWhole: true, isDelivered: true },
  'new epochs, and answers at once': {
    steps: [...ordinary, ...losses],
    isPrompt: true,
    isWhole: true,
    isDelivered: true,
  },
  'new epochs, gaps and early deliveries': {
    steps: [...ordinary, ...gaps, ...silences, ...losses],
    isWhole: true,
  },
  outages: { steps: [...ordinary, ...gaps, ...silences, ...losses, ...outages], isWhole: false },
  'a short history': { steps: [...ordinary, ...gaps, ...losses], historySize: 3, isWhole: false },
}

for (const [
  name,
  { steps, historySize = 1000, isPrompt = false, isWhole, isDelivered = false },
] of Object.entries(kinds)) {
  t.test(`${name}: members see what they were told of, once and in order`, async (t) => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.oneof(...steps), { minLength: 5, maxLength: 60, size: 'max' }),
        async (schedule) => {
          const world = new World(historySize, isPrompt)
          await world.run([['join', 0], ['join', 1], ['serve'], ['answer', 2], ...schedule])
          await world.quieten()
          const wrong: string[] = []
          if (isWhole) wrong.push(...world.lacking)
          if (isWhole && world.readers.some(({ jumps }) => jumps > 0)) wrong.push('a jump')
          if (isDelivered) wrong.push(...world.undelivered)
          wrong.push(...(await world.sayLast()), ...world.faults)
          await world.hub.close()
          if (wrong.length > 0) throw new Error(wrong.join('\n'))
        },
      ),
      {
        numRuns: Number(process.env.RUNS ?? 150),
        ...(process.env.SEED && { seed: Number(process.env.SEED) }),
        ...(process.env.FCPATH && { path: process.env.FCPATH }),
      },
    )
    t.pass('in every schedule')
  })
}

/** A world in which two readers have joined, plain or not, and messages of other nodes. */
async function twoReaders() {
  const world = new World(1000, false)
  await world.run([
    ['join', 0],
    ['join', 1],
    ['answer', 2],
  ])
  const { bridge, hub, readers } = world
  const [one, other] = readers as [Reader, Reader]
  return { world, bridge, hub, one, other }
}

t.test('what a read does not bring in time is not waited for', async (t) => {
  const { world, one } = await twoReaders()
  await world.run([
    ['publish', 1],
    ['bring', 1],
    ['deaf'],
    ['publish', 2],
    ['hear'],
    ['publish', 1],
    ['bring', 1],
  ])
  t.match(one.log, /0@1$/, 'it waits for what is before it')
  mock.timers.tick(HOLD_MS - 1)
  await world.run([
    ['publish', 1],
    ['bring', 1],
  ])
  t.match(one.log, /0@1$/)
  mock.timers.tick(1)
  await world.settle()
  t.match(one.log, /0@1 3@4 4@5$/, 'members see the jump')
  t.equal(world.hub.counters.missed, 2)
  await world.run([['answer', 1]])
  t.match(one.log, /3@4 4@5$/, 'what comes after that is not given out of order')
  await world.hub.close()
})

t.test('a sender gets no message of its own out of the history for an echo of the same moment', async (t) => {
  const { world, bridge, one, other } = await twoReaders()
  await world.run([['deaf']])
  const moment = now
  for (const echo of [true, false]) {
    now = moment
    one.say({ type: 'message', room: bridge.room, content: bridge.sent.length, echo })
  }
  await world.run([['hear'], ['publish', 1], ['bring', 1], ['answer', 1]])
  t.match(one.log, /0@1 2@3$/)
  t.match(other.log, /0@1 1@2 2@3$/)
  t.same(world.faults, [])
  await world.hub.close()
})

t.test('no more waits in a room than one join may hold', async (t) => {
  const { world, bridge, one } = await twoReaders()
  await world.run([['publish', 1], ['bring', 1], ['deaf'], ['publish', 1], ['hear']])
  const count = Math.ceil(limits.outboxMaxBytes / 100)
  for (let n = 0; n < count; n++) bridge.publishElsewhere()
  bridge.bring(count)
  await world.settle()
  t.match(one.log, new RegExp(`${count + 1}@${count + 2}$`), 'then it goes on, with the jump')
  t.same(world.faults, [])
  await world.hub.close()
})

t.test('a history that does not have what it should have is asked once for each message', async (t) => {
  const { world, bridge, one } = await twoReaders()
  const replay = bridge.replay.bind(bridge)
  let reads = 0
  bridge.replay = (room, request) => {
    reads++
    const read = replay(room, { ...request, since: undefined }) as Promise<Replay>
    return read.then(() => ({ position: request.since, isComplete: true, messages: [] }))
  }
  await world.run([['deaf'], ['publish', 1], ['hear'], ['publish', 3], ['bring', 3], ['answer', 1]])
  t.match(one.log, /1@2 2@3 3@4$/)
  t.equal(reads, 1)
  await world.hub.close()
})

t.test(
  'members of a room that was opened in an outage are told a position, and lose nothing by it',
  async (t) => {
    const world = new World(1000, false)
    const [one, other] = world.readers as [Reader, Reader]
    await world.run([['away'], ['join', 0], ['back'], ['publish', 2]])
    t.match(one.log, 'joined(undefined:undefined)')
    // Its messages are under way when somebody reads the position.
    await world.run([
      ['join', 1],
      ['answer', 1],
    ])
    t.match(other.log, /joined\(e0:2\)$/)
    t.match(one.log, /reset\(e0:2\) join\(\)$/)
    await world.run([
      ['bring', 2],
      ['publish', 1],
      ['bring', 1],
      ['answer', 1],
    ])
    t.match(one.log, /0 1 2@3 joined\(e0:3\)$/, 'they come without the offsets that it was told already')
    t.match(other.log, /joined\(e0:2\) 2@3$/)
    t.same(world.faults, [])
    await world.hub.close()
  },
)

t.test('who joins learns of a new epoch, and the others get all of it', async (t) => {
  const { world, one, other } = await twoReaders()
  await world.run([['publish', 2], ['bring', 2], ['flush'], ['deaf'], ['publish', 2], ['hear']])
  await world.run([
    ['join', 3],
    ['answer', 1],
  ])
  t.match(world.readers[3]?.log, 'joined(e1:2)')
  await world.run([['answer', 3]])
  t.match(other.log, /0@1 1@2 reset\(e1:0\) 2@1 3@2$/)
  t.match(one.log, /0@1 1@2 reset\(e1:0\) join\(e0:2\)/)
  t.same(world.faults, [])
  await world.hub.close()
})

t.test('a quiet room is caught up, and members who were told nothing are told', async (t) => {
  const { world, bridge, hub, one } = await twoReaders()
  await world.run([
    ['publish', 1],
    ['bring', 1],
    ['away'],
    ['join', 2],
    ['back'],
    ['deaf'],
    ['publish', 2],
    ['hear'],
  ])
  const late = world.readers[2] as Reader
  const caughtUp = hub.bridgeHost.catchUp(bridge.room)
  await world.run([['answer', 1]])
  t.equal(await caughtUp, 'whole')
  t.match(one.log, /0@1 1@2 2@3$/)
  t.match(late.log, /reset\(e0:1\) join\(\) 1@2 2@3$/)
  t.equal(await hub.bridgeHost.catchUp('nobody is here'), 'whole')
  bridge.isAway = true
  const failed = hub.bridgeHost.catchUp(bridge.room)
  await world.run([['fail'], ['fail']])
  t.equal(await failed, 'unread')
  await hub.close()
})

t.test(
  'few rooms are caught up at once, and a message that shows a gap does not wait for them',
  async (t) => {
    const { world, bridge, hub, one } = await twoReaders()
    const done: string[] = []
    for (let n = 0; n < 200; n++) void hub.bridgeHost.catchUp(bridge.room).then((filled) => done.push(filled))
    t.equal(bridge.reads, 64)
    await world.run([['deaf'], ['publish', 1], ['hear'], ['publish', 1], ['bring', 1], ['overtake']])
    t.match(one.log, /0@1 1@2$/)
    while (done.length < 200) await world.run([['answer', 10]])
    t.ok(done.every((filled) => filled === 'whole'))
    t.same(world.faults, [])
    await hub.close()
  },
)

t.test(
  'what goes to everybody, and what no history keeps, comes again only to who has not had it',
  async (t) => {
    const { world, bridge, hub, one, other } = await twoReaders()
    for (const room of [undefined, bridge.room]) {
      const head = (n: number) => messageHead(room, `${n}`, { client: 'x', user: 'u' }, n)
      const deliver = (n: number, isEarly: boolean) =>
        hub.bridgeHost.deliver(room, [
          { text: `${head(n)}}`, exclude: undefined, position: undefined, isEarly },
        ])
      bridge.sent.length = 0
      for (let n = 0; n < 3; n++)
        bridge.sent.push({ n, position: undefined, exclude: undefined, isLost: false })
      const before = [one, other].map(({ log }) => log.length)
      const got = () => [one, other].map(({ log }, index) => log.slice(before[index]).trim())
      deliver(0, true)
      await world.settle()
      await world.run([
        ['drop', 1],
        ['join', 1],
        ['answer', 1],
      ])
      const { joins } = hub.bridgeHost
      other.forget()
      deliver(0, false)
      // A repeat by key has another head than the early one.
      hub.bridgeHost.remember(room, head(1), joins, 'mark')
      deliver(1, false)
      deliver(2, false)
      await world.settle()
      t.match(got()[0], /^0 2$/)
      t.match(got()[1], /^0 dropped .* 0 2$/)
    }
    await hub.close()
  },
)

t.test(
  'an early message that still waits is taken back when it comes again: all get that, in its place',
  async (t) => {
    const { world, bridge, hub, one } = await twoReaders()
    await world.run([['deaf'], ['publish', 1], ['hear'], ['publish', 1], ['bring', 1]])
    t.equal(bridge.reads, 1, 'the second waits for the first')
    const head = messageHead(bridge.room, '7', { client: 'x', user: 'u' }, 7)
    const early = { exclude: undefined, position: undefined, isEarly: true, mark: 'mark' }
    hub.bridgeHost.deliver(bridge.room, [{ ...early, text: `${head}}` }])
    t.notOk(
      hub.bridgeHost.remember(bridge.room, 'another head', hub.bridgeHost.joins, 'mark'),
      'nobody has had it',
    )
    t.ok(
      hub.bridgeHost.remember(bridge.room, 'another head', hub.bridgeHost.joins, 'mark'),
      'and it does not wait any more',
    )
    await world.run([['answer', 1]])
    t.match(one.log, /0@1 1@2$/)
    await hub.close()
  },
)

t.test(
  'while the history cannot be read, an early message is not kept behind what waits for it',
  async (t) => {
    const { world, bridge, hub, one } = await twoReaders()
    await world.run([['deaf'], ['publish', 1], ['hear'], ['publish', 1], ['away'], ['bring', 1], ['fail']])
    t.notMatch(one.log, /1@2/, 'the second waits')
    const n = bridge.sent.length
    bridge.sent.push({ n, position: undefined, exclude: undefined, isLost: false })
    const text = `${messageHead(bridge.room, `${n}`, { client: 'x', user: 'u' }, n)}}`
    hub.bridgeHost.deliver(bridge.room, [{ text, exclude: undefined, position: undefined, isEarly: true }])
    await world.settle()
    t.match(one.log, new RegExp(`1@2 ${n}$`))
    await hub.close()
  },
)
