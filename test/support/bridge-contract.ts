import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import type {
  Bridge,
  BridgeHost,
  Delivery,
  Filled,
  HistoryLimits,
  Note,
  Publication,
  Replay,
  ReplayRequest,
} from '../../src/bridge/bridge.ts'
import { messageHead } from '../../src/protocol/codec.ts'
import { pollUntil } from './until.ts'

const limits: HistoryLimits = { size: 5, ttlMs: 60_000, maxBytes: 100_000 }

/** A node in miniature: a bridge and what it has delivered. */
export class TestNode implements BridgeHost {
  readonly node = randomUUID().slice(0, 12)
  readonly bridge: Bridge
  readonly delivered: (Delivery & { room: string | undefined })[] = []
  readonly remembered: { room: string | undefined; head: string; joinsThen: number }[] = []
  readonly caughtUp: string[] = []
  joins = 0
  clients = 0
  readonly heard: { from: string; text: string }[] = []
  /** How often it was said that something told may have passed it by. */
  missed = 0
  readonly tells = {
    hear: (from: string, text: string) => void this.heard.push({ from, text }),
    missed: () => void this.missed++,
  }

  readonly history: HistoryLimits

  constructor(bridge: Bridge, history = limits) {
    this.bridge = bridge
    this.history = history
    bridge.start(this)
  }

  deliver(room: string | undefined, deliveries: readonly Delivery[]): void {
    this.delivered.push(...deliveries.map((delivery) => ({ room, ...delivery })))
  }

  remember(room: string | undefined, head: string, joinsThen: number): boolean {
    this.remembered.push({ room, head, joinsThen })
    return true
  }

  async catchUp(room: string): Promise<Filled> {
    this.caughtUp.push(room)
    return 'whole'
  }

  onceRested(then: () => void): void {
    setImmediate(then)
  }

  countClients(): number {
    return this.clients
  }

  /** The contents of a room's deliveries so far, in order. */
  contents(room: string | undefined): unknown[] {
    return this.delivered
      .filter((one) => one.room === room)
      .map(({ text }) => JSON.parse(String(text)).content)
  }

  publish(room: string | undefined, content: unknown, more: Partial<Publication> = {}) {
    const head = messageHead(room, JSON.stringify(content), { client: 'c', user: 'u' }, 1)
    const history = room === undefined ? undefined : this.history
    return this.bridge.publish({ room, head, exclude: undefined, once: undefined, history, ...more })
  }

  replay(room: string, request: Omit<ReplayRequest, 'history'>): Replay | Promise<Replay> {
    return this.bridge.replay(room, { ...request, history: this.history })
  }

  /** Resolves when the room's deliveries are these. */
  async hears(room: string | undefined, contents: unknown[]): Promise<void> {
    const expected = JSON.stringify(contents)
    await pollUntil(
      `${expected} in ${room}`,
      () => JSON.stringify(this.contents(room)) === expected || undefined,
    )
  }
}

/** Publishes to three rooms and to everybody, the fourth; a few large ones, a few with a key. */
const turnOfPublishes = fc.array(
  fc.record({
    place: fc.integer({ min: 0, max: 3 }),
    // Now and then more than one payload takes.
    size: fc.oneof({ weight: 20, arbitrary: fc.nat(2000) }, fc.constant(150_000)),
    key: fc.option(fc.integer({ min: 0, max: 20 }), { nil: undefined }),
  }),
  { minLength: 1, maxLength: 200 },
)

/** Publishes it all at once, and compares acks, deliveries on both nodes and history with what should be. */
async function publishedInOneTurn(
  t: Test,
  nodes: readonly [TestNode, TestNode],
  historySize: number,
  steps: { place: number; size: number; key: number | undefined }[],
): Promise<void> {
  const salt = randomUUID()
  const rooms = [`${salt} 0`, `${salt} 1`, `${salt} 2`, undefined]
  for (const node of nodes)
    for (const room of rooms) if (room !== undefined) await node.bridge.subscribe(room)
  const due = new Map<string | undefined, { n: number; offset: number | undefined }[]>()
  for (const room of rooms) due.set(room, [])
  const firsts = new Map<string, object>()
  const acks = steps.map(({ place, key }, n) => {
    const original = key === undefined ? undefined : firsts.get(`${place} ${key}`)
    if (original !== undefined) return { ...original, duplicate: true }
    const others = due.get(rooms[place]) ?? []
    const offset = historySize === 0 || rooms[place] === undefined ? undefined : others.length + 1
    others.push({ n, offset })
    const ack = { scope: 'cluster', ...(offset !== undefined && { offset }) }
    if (key !== undefined) firsts.set(`${place} ${key}`, ack)
    return ack
  })
  const published = await Promise.all(
    steps.map(({ place, size, key }, n) =>
      nodes[0].publish(rooms[place], [n, 'x'.repeat(size), salt], {
        once: key === undefined ? undefined : { user: salt, key: `${key}` },
      }),
    ),
  )
  t.strictSame(published, acks)
  for (const room of rooms) {
    const wanted = due.get(room) ?? []
    for (const node of nodes) {
      const got = () =>
        node.delivered
          .filter((one) => one.room === room)
          .map(({ text, position }) => ({
            content: JSON.parse(String(text)).content,
            offset: position?.offset,
          }))
          .filter(({ content }) => content[2] === salt)
          .map(({ content, offset }) => ({ n: content[0], offset }))
      await pollUntil(`${wanted.length} in ${room}`, () => got().length >= wanted.length || undefined)
      t.strictSame(got(), wanted)
    }
    if (room === undefined) continue
    const { messages } = await nodes[1].replay(room, { since: undefined, limit: 1000 })
    t.strictSame(
      messages.map((text) => JSON.parse(String(text)).content[0]),
      historySize === 0 ? [] : wanted.map(({ n }) => n).slice(-historySize),
      'and the history is the same',
    )
  }
  for (const node of nodes) {
    node.delivered.length = 0
    for (const room of rooms) if (room !== undefined) node.bridge.unsubscribe(room)
  }
}

export interface ContractOptions {
  /** Makes the nodes' bridges, all of one cluster; a memory bridge has one node only. */
  nodes: number
  create(): Bridge
}

/** What every bridge does alike (PROTOCOL.md); each implementation runs it in a few lines. */
export function bridgeContract(name: string, { nodes, create }: ContractOptions): void {
  const setUp = async (t: Test, some: Partial<HistoryLimits> = {}) => {
    const all = Array.from({ length: nodes }, () => new TestNode(create(), { ...limits, ...some }))
    t.teardown(() => Promise.all(all.map(({ bridge }) => bridge.close())))
    await Promise.all(all.map(({ bridge }) => bridge.whenUp(5000)))
    return { all, first: all[0] as TestNode, last: all.at(-1) as TestNode, room: `room ${randomUUID()}` }
  }

  t.test(`${name}: a message reaches every node that has subscribed, once and in order`, async (t) => {
    const { all, first, last, room } = await setUp(t)
    for (const node of all) t.equal(await node.bridge.subscribe(room), 'cluster')
    const published = await Promise.all([1, 2, 3].map((n) => first.publish(room, n, { exclude: 'c' })))
    t.match(published, [
      { scope: 'cluster', offset: 1 },
      { scope: 'cluster', offset: 2 },
      { scope: 'cluster', offset: 3 },
    ])
    t.match(await last.publish(room, 4), { scope: 'cluster', offset: 4 })
    for (const node of all) {
      await node.hears(room, [1, 2, 3, 4])
      const [one] = node.delivered
      t.match(one, { exclude: 'c', position: { offset: 1 } })
      t.match(JSON.parse(String(one?.text)), {
        type: 'message',
        room,
        content: 1,
        offset: 1,
        from: { user: 'u' },
      })
    }
  })

  t.test(`${name}: every node sees one order, whoever publishes`, async (t) => {
    const { all, first, room } = await setUp(t, { size: 1000 })
    for (const node of all) await node.bridge.subscribe(room)
    await Promise.all(
      all.flatMap((node, i) => Array.from({ length: 100 }, (_, n) => node.publish(room, [i, n]))),
    )
    for (const node of all) {
      await pollUntil('all of them', () => node.contents(room).length === nodes * 100 || undefined)
      t.strictSame(node.contents(room), first.contents(room))
      for (let i = 0; i < nodes; i++) {
        const own = (node.contents(room) as [number, number][])
          .filter(([from]) => from === i)
          .map(([, n]) => n)
        t.strictSame(
          own,
          Array.from({ length: 100 }, (_, n) => n),
          'and each publisher its own',
        )
      }
    }
  })

  t.test(`${name}: a broadcast reaches every node without a subscription, and has no offset`, async (t) => {
    const { all, first } = await setUp(t)
    const mark = randomUUID()
    t.strictSame(await first.publish(undefined, mark), { scope: 'cluster' })
    for (const node of all) await pollUntil(mark, () => node.contents(undefined).includes(mark) || undefined)
  })

  t.test(`${name}: rooms do not meet, whatever they are called`, async (t) => {
    const { first, last } = await setUp(t)
    const salt = randomUUID()
    const names = [
      'x',
      'x:y',
      '*',
      'x*',
      '?',
      '[a-z]',
      '\\',
      '{x}',
      '}{',
      '%2A',
      ' ',
      'é',
      'e\u0301',
      '__proto__',
      'all',
    ]
    const rooms = names.map((name) => `${name}${name === '*' ? '' : salt}`)
    for (const room of rooms) await last.bridge.subscribe(room)
    for (const room of rooms) await first.publish(room, room)
    for (const room of rooms) await last.hears(room, [room])
    t.equal(last.delivered.length, rooms.length)
  })

  t.test(`${name}: content travels byte for byte, and large`, async (t) => {
    const { first, last, room } = await setUp(t, { maxBytes: 10_000_000 })
    await last.bridge.subscribe(room)
    const contents = [
      '9007199254740993',
      '1e400',
      '"\\ud83d"',
      '"\u2028é\u{1f600}"',
      '{"a":1,"a":2}',
      `"${'€'.repeat(170_000)}"`,
    ]
    for (const content of contents) {
      await first.bridge.publish({
        room,
        head: messageHead(room, content, { client: 'c', user: 'u' }, 1),
        exclude: undefined,
        once: undefined,
        history: first.history,
      })
    }
    await pollUntil('all of them', () => last.delivered.length === contents.length || undefined)
    for (const [index, content] of contents.entries()) {
      t.ok(String(last.delivered[index]?.text).includes(`"content":${content},"from"`))
    }
    const { messages } = await last.replay(room, { since: undefined, limit: 10 })
    t.strictSame(
      messages.map(String),
      last.delivered.slice(1).map(({ text }) => String(text)),
    )
  })

  t.test(`${name}: a position is taken up again without a hole, or not at all`, async (t) => {
    const { first, last, room } = await setUp(t)
    const { position: start } = await last.replay(room, { since: undefined, limit: 0 })
    t.match(start, { offset: 0 })
    const since = (offset: number) => ({ since: { epoch: start?.epoch ?? '', offset }, limit: 100 })
    t.match(await last.replay(room, since(0)), { isComplete: true, messages: [] })
    for (let n = 1; n <= 5; n++) await first.publish(room, n)
    const read = async (offset: number) => {
      const { isComplete, messages, position } = await last.replay(room, since(offset))
      t.match(position, { epoch: start?.epoch })
      return [isComplete, messages.map((text) => JSON.parse(String(text)).content)]
    }
    t.strictSame(await read(0), [true, [1, 2, 3, 4, 5]])
    t.strictSame(await read(3), [true, [4, 5]])
    t.strictSame(await read(5), [true, []])
    t.strictSame(await read(6), [false, []], 'from the future')
    await first.publish(room, 6)
    t.strictSame(await read(0), [false, []], 'the first one is gone')
    t.strictSame(await read(1), [true, [2, 3, 4, 5, 6]])
    const other = await last.replay(room, { since: { epoch: 'other', offset: 6 }, limit: 9 })
    t.match(other, { isComplete: false, messages: [], position: { epoch: start?.epoch, offset: 6 } })
    const limited = await last.replay(room, {
      since: { epoch: start?.epoch ?? '', offset: 2 },
      limit: 2,
    })
    t.strictSame(
      limited.messages.map((text) => JSON.parse(String(text)).content),
      [3, 4],
    )
    t.notOk(limited.isComplete, 'two of four are not all')
    const newest = await last.replay(room, { since: undefined, limit: 2 })
    t.strictSame(
      newest.messages.map((text) => JSON.parse(String(text)).content),
      [5, 6],
    )
  })

  t.test(`${name}: a room keeps no more bytes than it may`, async (t) => {
    const { first, room } = await setUp(t, { maxBytes: 1200 })
    const { position } = await first.replay(room, { since: undefined, limit: 0 })
    for (let n = 1; n <= 4; n++) await first.publish(room, 'x'.repeat(400))
    const all = await first.replay(room, { since: undefined, limit: 9 })
    t.equal(all.messages.length, 2)
    t.equal(all.position?.offset, 4)
    await first.publish(room, 'x'.repeat(2000))
    t.match(await first.replay(room, { since: undefined, limit: 9 }), {
      messages: [],
      position: { offset: 5 },
    })
    const whole = { epoch: position?.epoch ?? '', offset: 5 }
    t.match(await first.replay(room, { since: whole, limit: 9 }), { isComplete: true, messages: [] })
    await first.publish(room, 'y')
    t.match(await first.replay(room, { since: whole, limit: 9 }), {
      isComplete: true,
      messages: { length: 1 },
    })
  })

  t.test(`${name}: history lapses, its position stays`, async (t) => {
    const { first, room } = await setUp(t, { ttlMs: 100 })
    const { position } = await first.replay(room, { since: undefined, limit: 0 })
    await first.publish(room, 1)
    await pollUntil('lapse', async () => {
      const { messages } = await first.replay(room, { since: undefined, limit: 9 })
      return messages.length === 0 || undefined
    })
    const since = { epoch: position?.epoch ?? '', offset: 0 }
    t.match(await first.replay(room, { since, limit: 9 }), {
      isComplete: false,
      position: { ...since, offset: 1 },
    })
    t.match(await first.replay(room, { since: { ...since, offset: 1 }, limit: 9 }), {
      isComplete: true,
    })
    t.match(await first.publish(room, 2), { offset: 2 })
  })

  t.test(`${name}: a size of 0 keeps nothing`, async (t) => {
    const { first, last, room } = await setUp(t, { size: 0 })
    await last.bridge.subscribe(room)
    t.strictSame(await first.publish(room, 1), { scope: 'cluster' })
    await last.hears(room, [1])
    t.notOk(String(last.delivered[0]?.text).includes('offset'))
    t.match(await first.replay(room, { since: undefined, limit: 9 }), {
      position: undefined,
      messages: [],
    })
  })

  t.test(`${name}: a key publishes once for its user and room`, async (t) => {
    const { first, last, room } = await setUp(t)
    await last.bridge.subscribe(room)
    const once = { user: 'u', key: 'k' }
    t.strictSame(await first.publish(room, 1, { once }), { scope: 'cluster', offset: 1 })
    t.strictSame(await last.publish(room, 'repeat', { once }), {
      scope: 'cluster',
      offset: 1,
      duplicate: true,
    })
    t.strictSame(await first.publish(room, 2, { once: { user: 'v', key: 'k' } }), {
      scope: 'cluster',
      offset: 2,
    })
    const other = `${room}!`
    t.strictSame(await first.publish(other, 3, { once }), { scope: 'cluster', offset: 1 })
    t.strictSame(await first.publish(room, 4, { once: { user: 'u', key: 'other' } }), {
      scope: 'cluster',
      offset: 3,
    })
    await last.hears(room, [1, 2, 4])
    const broadcast = { user: randomUUID(), key: 'k' }
    t.strictSame(await first.publish(undefined, 1, { once: broadcast }), { scope: 'cluster' })
    t.strictSame(await first.publish(undefined, 1, { once: broadcast }), {
      scope: 'cluster',
      duplicate: true,
    })
  })

  for (const size of [1000, 5, 0]) {
    t.test(`${name}: one turn's publishes are as if one by one, with a history of ${size}`, async (t) => {
      const { first, last } = await setUp(t, { size, maxBytes: 10_000_000 })
      await fc.assert(
        fc.asyncProperty(turnOfPublishes, (steps) => publishedInOneTurn(t, [first, last], size, steps)),
        { numRuns: 8 },
      )
    })
  }

  t.test(
    `${name}: what a node tells reaches all others in its order, or the one named, and never itself`,
    async (t) => {
      const { all, first, last } = await setUp(t)
      await pollUntil('they know each other', () =>
        all.every(({ bridge }) => bridge.others().length >= nodes - 1),
      )
      t.notOk(first.bridge.others().includes(first.node))
      const salt = randomUUID()
      const texts = [
        `${salt} é\u{1f600}\n\0`,
        ...Array.from({ length: 50 }, (_, n) => `${salt} ${n}`),
        `${salt}${'x'.repeat(60_000)}`,
      ]
      t.strictSame(
        await Promise.all(texts.map((text) => first.bridge.tell(text))),
        texts.map(() => 'cluster'),
      )
      const heard = (node: TestNode) => node.heard.filter(({ text }) => text.startsWith(salt))
      for (const node of all.slice(1)) {
        await pollUntil('all of them', () => heard(node).length === texts.length)
        t.strictSame(
          heard(node),
          texts.map((text) => ({ from: first.node, text })),
        )
      }
      t.strictSame(heard(first), [])
      t.equal(await last.bridge.tell(`${salt} back`, first.node), 'cluster')
      if (nodes === 1) return
      await pollUntil('it is heard', () => heard(first).length > 0)
      t.strictSame(heard(first), [{ from: last.node, text: `${salt} back` }])
    },
  )

  t.test(
    `${name}: notes are kept for all nodes until they end, the larger value and the later end`,
    async (t) => {
      const { first, last } = await setUp(t)
      const salt = randomUUID()
      const now = Date.now()
      const note = (name: string, value: number, inMs: number) => ({
        name: `${salt} ${name}`,
        value,
        untilMs: now + inMs,
      })
      const read = async () => {
        const notes: Note[] = []
        for (;;) {
          const read = await last.bridge.readNotes()
          notes.push(...(read?.notes ?? []))
          if (read?.hasMore !== true) return notes.filter((one) => one.name.startsWith(salt))
        }
      }
      const many = Array.from({ length: 100 }, (_, n) => note(`many ${n}`, n, 60_000))
      t.equal(await first.bridge.keep(many), 'kept')
      t.equal(
        await first.bridge.keep([note('a', 5, 60_000), note('b\n é', 0, 300), note('c', 1, -1)]),
        'kept',
      )
      const all = nodes === 1 ? [] : [...many, note('a', 5, 60_000), note('b\n é', 0, 300), note('c', 1, -1)]
      t.strictSame(await read(), all)
      t.strictSame(await read(), [], 'once')
      t.equal(await last.bridge.keep([note('a', 3, 90_000)]), 'kept')
      t.equal(await first.bridge.keep([note('a', 5, 60_000)]), 'kept')
      t.strictSame(await read(), nodes === 1 ? [] : [note('a', 5, 90_000)])
      if (nodes === 1) return
      await pollUntil('one has ended', () => Date.now() > now + 300)
      t.equal(await last.bridge.keep([note('d', 1, 60_000)]), 'kept')
      const [third] = [new TestNode(create())]
      t.teardown(() => third.bridge.close())
      await third.bridge.whenUp(5000)
      const fresh = await third.bridge.readNotes()
      t.equal(fresh?.isAnew, true)
      const found = fresh?.notes.filter((one) => one.name.startsWith(salt))
      t.strictSame(found, [...many, note('a', 5, 90_000), note('d', 1, 60_000)])
      t.ok(third.missed > 0, 'and who comes is told to look')
    },
  )

  t.test(`${name}: joining as others leave never ends deaf`, async (t) => {
    const { first, last, room } = await setUp(t)
    for (let n = 0; n < 30; n++) {
      last.bridge.unsubscribe(room)
      t.equal(await last.bridge.subscribe(room), 'cluster')
      await first.publish(room, n)
      await pollUntil(`message ${n}`, () => last.contents(room).includes(n) || undefined)
    }
  })

  t.test(`${name}: random schedules never claim a recovery with a hole`, async (t) => {
    const { first, last } = await setUp(t, { size: 4, maxBytes: 1500 })
    const step = fc.oneof(
      { weight: 4, arbitrary: fc.record({ publish: fc.integer({ min: 0, max: 900 }) }) },
      { weight: 2, arbitrary: fc.constant('rejoin' as const) },
    )
    let schedules = 0
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
        const room = `schedule ${name} ${randomUUID()} ${schedules++}`
        let { position: seen } = await last.replay(room, { since: undefined, limit: 0 })
        const published: number[] = []
        let known = 0
        for (const one of steps) {
          if (one !== 'rejoin') {
            published.push(published.length)
            await first.publish(room, [published.length - 1, 'x'.repeat(one.publish)])
            continue
          }
          const { isComplete, messages, position } = await last.replay(room, { since: seen, limit: 4 })
          const got = messages.map((text) => JSON.parse(String(text)).content[0])
          if (isComplete && JSON.stringify(got) !== JSON.stringify(published.slice(known))) return false
          if (position?.offset !== published.length) return false
          seen = position
          known = published.length
        }
        return true
      }),
      { numRuns: 60 },
    )
  })
}
