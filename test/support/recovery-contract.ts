// What a client that comes back is promised (PROTOCOL.md, Recovery), the same on every bridge.
import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import type { Test } from 'tap'
import { encodePositions } from '../../src/protocol/positions.ts'
import { type Client, connect, type Envelope } from './client.ts'
import type { Position } from './follower.ts'
import { Follower, Ledger } from './follower.ts'
import {
  forgetsUnkept,
  givesLast,
  joinsUnderTraffic,
  keepsByRule,
  RULES,
  rejoinsWithLast,
} from './last-and-unkept.ts'
import type { Env, Server } from './server.ts'
import { streamsUnderCuts } from './stream-recovery.ts'
import { tokenFor } from './token.ts'
import { pace } from './until.ts'

/** How much a room keeps in the tests of the bounds. */
const SMALL = { HISTORY_SIZE: '5', HISTORY_TTL_MS: '1000', HISTORY_MAX_BYTES: '4000' }

export interface RecoveryOptions {
  /** Starts the nodes of a cluster of its own; with the memory bridge there is one. */
  start(t: Test, env: Env): Promise<Server[]>
  /** Has the history of all rooms lost; the nodes were started with `LOSSY`. */
  forget(nodes: Nodes): Promise<unknown>
}
/** Settings with which a node's own history is lost soon. */
const LOSSY = { HISTORY_TOTAL_BYTES: '1048576', HISTORY_MAX_BYTES: '2097152' }

/** Runs all of it as subtests of `t`. */
export function recoveryContract(t: Test, name: string, options: RecoveryOptions): void {
  comingBackContract(t, name, options)
  boundsContract(t, name, options)
}

/** What a client is promised that comes back, or comes late, while all is well. */
export function comingBackContract(t: Test, name: string, { start }: Pick<RecoveryOptions, 'start'>): void {
  t.test(`${name}: what a client that comes back gets, or one that comes late`, async (t) => {
    const nodes = new Nodes(await start(t, { ROOM_RULES: RULES }))
    await t.test('since is taken up again, on any node', (t) => takesUp(t, nodes))
    await t.test('a since that is none is an error', (t) => refusesSince(t, nodes))
    await t.test('a member that joins again with since', (t) => rejoinsAsMember(t, nodes))
    await t.test('a member that joins again under traffic misses nothing', (t) =>
      rejoinsUnderTraffic(t, nodes),
    )
    await t.test('the rooms of a token are recovered at connect', (t) => recoversAtConnect(t, nodes))
    await t.test('history on request', (t) => givesHistory(t, nodes))
    await t.test('a key publishes once', (t) => publishesOnce(t, nodes))
    await t.test('the newest, or what followed since', (t) => givesLast(t, nodes))
    await t.test('a rule says what its rooms keep', (t) => keepsByRule(t, nodes))
    await t.test('what is not kept is delivered and forgotten', (t) => forgetsUnkept(t, nodes))
    await t.test('a member that joins again with last', (t) => rejoinsWithLast(t, nodes))
    await t.test('joins with last under traffic of both kinds', (t) => joinsUnderTraffic(t, nodes))
  })
}

/** What a room keeps, what is told when it is gone, and all of it at full speed. */
function boundsContract(t: Test, name: string, { start, forget }: RecoveryOptions): void {
  t.test(`${name}: what a room keeps is bounded, and said`, async (t) => {
    const nodes = new Nodes(await start(t, SMALL))
    await t.test('by number, bytes and time', (t) => keepsSome(t, nodes))
    await t.test('random schedules never claim a recovery with a hole', (t) => schedules(t, nodes))
  })
  t.test(`${name}: members are told when a room's history begins anew`, async (t) => {
    const nodes = new Nodes(await start(t, LOSSY))
    await t.test('with the first message', (t) => tellsWithMessage(t, nodes, forget))
    await t.test('when somebody joins', (t) => tellsWithJoin(t, nodes, forget))
  })
  t.test(`${name}: at full speed none twice, none missing, in order`, async (t) => {
    const env = { HISTORY_SIZE: '10000', HISTORY_MAX_BYTES: '67108864', OUTBOX_MAX_BYTES: '67108864' }
    const nodes = new Nodes(await start(t, env))
    await atFullSpeed(t, nodes, { followers: 12, forMs: 3_000 })
    await t.test('streams that are cut under traffic', (t) => streamsUnderCuts(t, nodes.all))
  })
  t.test(`${name}: a history of 0 is none`, async (t) => {
    const nodes = new Nodes(await start(t, { HISTORY_SIZE: '0' }))
    const [a, b] = [await nodes.connect('a'), await nodes.connect('b')]
    const joined = await a.join('r')
    t.notOk('epoch' in joined || 'offset' in joined, 'joined has no position')
    await b.join('r')
    const ack = await b.publish('r', 1)
    t.notOk('offset' in ack, 'nor has the ack')
    t.notOk('offset' in (await a.next('message')), 'nor the message')
    const since = { epoch: 'x', offset: 0 }
    t.match(await a.request({ type: 'join', room: 'r', since }), { recovered: false, missed: 0 })
    t.match(await a.request({ type: 'history', room: 'r' }), {
      type: 'error',
      code: 'unavailable',
      room: 'r',
    })
    t.match(await b.publish('r', 2, { key: 'k' }), { duplicate: undefined })
    t.match(await b.publish('r', 3, { key: 'k' }), { duplicate: true }, 'a key works without history')
    t.same(contents(await a.fence()).slice(0, 1), [2])
    await nodes.close(a, b)
  })
}

/** The nodes by turns, so that every second connection is at another one. */
export class Nodes {
  readonly all: Server[]
  #turn = 0

  constructor(all: Server[]) {
    this.all = all
  }

  next(): Server {
    return this.all[this.#turn++ % this.all.length] as Server
  }

  connect(user: string): Promise<Client> {
    return connect(this.next(), user)
  }

  async close(...clients: Client[]): Promise<void> {
    await Promise.all(clients.map((client) => client.close()))
  }
}

export function contents(envelopes: Envelope[]): unknown[] {
  return envelopes.filter(({ type }) => type === 'message').map(({ content }) => content)
}

function offsets(envelopes: Envelope[]): unknown[] {
  return envelopes.filter(({ type }) => type === 'message').map(({ offset }) => offset)
}

function range(from: number, to: number): number[] {
  return Array.from({ length: Math.max(0, to - from + 1) }, (_, i) => from + i)
}

const newRoom = () => `room ${randomUUID()}`

function positionOf({ epoch, offset }: Envelope): Position {
  return { epoch: String(epoch), offset: Number(offset) }
}

/** Joins with `since`; the answer, and what came before a ping behind it was answered. */
async function rejoin(client: Client, room: string, since: Position) {
  const joined = await client.request({ type: 'join', room, since })
  return { joined, missed: await client.fence() }
}

async function recoversAtConnect(t: Test, nodes: Nodes): Promise<void> {
  const names = [newRoom(), newRoom(), newRoom()]
  const [one, other, fresh] = names as [string, string, string]
  const a = await nodes.connect('a')
  const starts = new Map<string, Position>()
  for (const room of [one, other]) {
    starts.set(room, positionOf(await a.join(room)))
    for (const n of range(1, 3)) await a.publish(room, n)
  }
  const since = encodePositions(starts)
  const kept = new Map([one, other].map((room) => [room, 3]))
  for (const node of nodes.all) {
    const back = await connect(node, 'b', {}, { token: `${tokenFor('b', { rooms: names })}&since=${since}` })
    t.strictSame(back.welcome.rooms, names)
    const got = await back.fence()
    t.strictSame(
      got.map(({ type, room, recovered, offset }) => [type, room, recovered ?? offset]),
      [one, other]
        .flatMap((room): unknown[][] => [
          ['joined', room, true],
          ...range(1, kept.get(room) ?? 0).map((n) => ['message', room, n]),
        ])
        .concat([['joined', fresh, 0]]),
      'each joined in its place, with what was missed behind it',
    )
    await a.publish(one, 'live')
    t.match(await back.next('message'), { room: one, content: 'live' })
    await back.close()
    kept.set(one, (kept.get(one) ?? 0) + 1)
  }
  await nodes.close(a)
}

async function takesUp(t: Test, nodes: Nodes): Promise<void> {
  const room = newRoom()
  const [a, b] = [await nodes.connect('a'), await nodes.connect('b')]
  const start = await b.join(room)
  t.match(start, { epoch: String, offset: 0 })
  t.notOk('recovered' in start || 'missed' in start, 'recovered is for those who ask')
  t.match(await a.join(room), { epoch: start.epoch, offset: 0 }, 'one epoch on all nodes')
  const { epoch } = positionOf(start)
  for (const n of range(1, 3)) t.match(await a.publish(room, n), { offset: n, scope: 'cluster' })
  t.same(offsets(await b.collectUntil(({ offset, type }) => type === 'message' && offset === 3)), [1, 2, 3])
  b.socket.destroy()
  for (const n of range(4, 7)) await a.publish(room, n)
  for (const node of nodes.all) {
    const back = await connect(node, 'b')
    const { joined, missed } = await rejoin(back, room, { epoch, offset: 3 })
    t.match(joined, { recovered: true, missed: 4, epoch, offset: 7 })
    t.same([contents(missed), offsets(missed)], [range(4, 7), range(4, 7)], 'what was missed, in order')
    t.ok(
      missed.every(({ from, at }) => (from as { client: string }).client === a.id && Number.isInteger(at)),
      'with the first ones\u2019 from and at',
    )
    await back.close()
  }
  const back = await nodes.connect('b')
  const outcomes: [name: string, since: Position, recovered: boolean][] = [
    ['at the end', { epoch, offset: 7 }, true],
    ['from the future', { epoch, offset: 8 }, false],
    ['of another epoch', { epoch: `${epoch}x`, offset: 7 }, false],
    ['of another epoch, at 0', { epoch: 'x', offset: 0 }, false],
  ]
  for (const [name, since, recovered] of outcomes) {
    const { joined, missed } = await rejoin(back, room, since)
    t.match(joined, { recovered, missed: 0, epoch, offset: 7 }, name)
    t.same(missed, [], 'nothing follows')
  }
  await a.publish(room, 8)
  t.same(offsets([await back.next('message')]), [8], 'the live ones go on from there')
  t.match((await rejoin(back, room, { epoch, offset: 7 })).joined, { recovered: true, missed: 1 })
  // Its own messages are missed too: another of its lives has sent them.
  const own = await back.publish(room, 'mine')
  back.socket.destroy()
  const again = await nodes.connect('b')
  const { missed } = await rejoin(again, room, { epoch, offset: Number(own.offset) - 1 })
  t.same(contents(missed), ['mine'])
  t.same(
    (await rejoin(again, room, { epoch, offset: Number(own.offset) })).missed,
    [],
    'the ack\u2019s offset counts',
  )
  // What goes to everybody is in no room's history.
  t.notOk('offset' in (await a.publish(undefined, 'all')))
  await again.next(({ content }) => content === 'all')
  t.same((await rejoin(again, room, { epoch, offset: Number(own.offset) })).missed, [])
  // A room that nobody is in keeps its history.
  await nodes.close(a, again)
  const late = await nodes.connect('c')
  t.match((await rejoin(late, room, { epoch, offset: 0 })).joined, { recovered: true, missed: 9 })
  await nodes.close(late)
}

async function refusesSince(t: Test, nodes: Nodes): Promise<void> {
  const room = newRoom()
  const a = await nodes.connect('a')
  for (const since of [
    ...['null', '0', '"x"', '[]', '{}', '{"epoch":"x"}', '{"offset":0}', '{"epoch":"","offset":0}'],
    ...['{"epoch":1,"offset":0}', '{"epoch":"x","offset":-1}', '{"epoch":"x","offset":1.5}'],
    ...[
      '{"epoch":"x","offset":"1"}',
      '{"epoch":"x","offset":1e999}',
      `{"epoch":"${'x'.repeat(65)}","offset":0}`,
    ],
  ]) {
    for (const type of ['join', 'history']) {
      a.send(`{"type":"${type}","room":"${room}","since":${since},"id":1}`)
      t.match(
        await a.fence(),
        [{ type: 'error', code: 'bad_envelope', id: 1 }],
        `${type} ${since.slice(0, 60)}`,
      )
    }
  }
  t.match(await a.request({ type: 'message', room, content: 1 }), { code: 'not_member' }, 'none of it joined')
  for (const epoch of ['x', '\u0000', '*', '-', ' ', '\u00e9', "' return 1"]) {
    const { joined } = await rejoin(a, room, { epoch, offset: 2 ** 53 - 1 })
    t.match(joined, { type: 'joined', recovered: false, offset: 0 }, 'any text is an epoch, and not this one')
  }
  await nodes.close(a)
}

async function rejoinsAsMember(t: Test, nodes: Nodes): Promise<void> {
  const room = newRoom()
  const [a, b] = [await nodes.connect('a'), await nodes.connect('b')]
  const { epoch } = positionOf(await b.join(room))
  await a.join(room)
  for (const n of range(1, 5)) await a.publish(room, n)
  await b.next(({ offset, type }) => type === 'message' && offset === 5)
  const { joined, missed } = await rejoin(b, room, { epoch, offset: 2 })
  t.match(joined, { recovered: true, missed: 3 })
  t.same(offsets(missed), [3, 4, 5], 'what it asks for, once')
  await a.publish(room, 6)
  await a.publish(room, 7)
  t.same(offsets(await b.collectUntil(({ offset }) => offset === 7)), [6, 7], 'live ones still once')
  await b.leave(room)
  await a.publish(room, 8)
  t.same(contents(await b.fence()), [], 'one leave undoes it')

  // The same while messages come in: behind each `joined`, all of them from `since` on, once.
  const token = tokenFor('f')
  const ledger = new Ledger()
  const follower = new Follower({ room, token, ledger, address: () => nodes.next() })
  follower.begin()
  await ledger.until('joined', () => follower.isJoined, 10_000)
  let sent = 8
  for (let i = 0; i < 60; i++) {
    for (let k = 0; k < 5; k++) a.send({ type: 'message', room, content: { n: ++sent, atMs: 0 } })
    follower.rejoin()
    const { joins } = follower
    await ledger.until('joined again', () => follower.joins > joins, 10_000)
  }
  await ledger.until('all', () => follower.position?.offset === sent, 10_000)
  t.same(follower.faults, [], 'no hole, and none twice behind one `joined`')
  t.ok(
    follower.returns.every(({ recovered }) => recovered),
    'each was a recovery',
  )
  follower.drop()
  await nodes.close(a, b)
}

async function rejoinsUnderTraffic(t: Test, nodes: Nodes): Promise<void> {
  const room = newRoom()
  const [a, b] = [await nodes.connect('a'), await nodes.connect('b')]
  const start = positionOf(await a.join(room))
  await b.join(room)
  const count = 1500
  let isOver = false
  const rejoining = (async () => {
    while (!isOver) await b.join(room)
  })()
  const from = b.received.length
  // Within the frames that a client may send at once and a second.
  for (let n = 1; n <= count; n++) {
    a.say(room, n)
    if (n % 10 === 0) await pace(10)
  }
  await b.next(({ content }) => content === count, 15_000)
  isOver = true
  await rejoining
  const seen = b.received.slice(from).filter(({ type }) => type === 'message' || type === 'joined')
  t.same(contents(seen), range(1, count))
  let has = start.offset
  const ahead = []
  for (const { type, offset } of seen) {
    if (type === 'message') has = Number(offset)
    else if (Number(offset) > has) ahead.push({ offset, has })
  }
  t.same(ahead, [], 'no joined names a position that the member does not have')
  t.ok(seen.length > count + 50, `it joined ${seen.length - count} times`)
  await nodes.close(a, b)
}

/** What members get of one room until a message with this content. */
async function until(client: Client, room: string, content: unknown): Promise<unknown[]> {
  const got = await client.collectUntil((envelope) => envelope.room === room && envelope.content === content)
  return got
    .filter(
      (envelope) => envelope.room === room && (envelope.type === 'message' || envelope.type === 'reset'),
    )
    .map((envelope) =>
      envelope.type === 'reset' ? `reset ${envelope.offset}` : [envelope.content, envelope.offset],
    )
}

async function tellsWithMessage(t: Test, nodes: Nodes, forget: RecoveryOptions['forget']): Promise<void> {
  const room = newRoom()
  const [a, b, c] = [await nodes.connect('a'), await nodes.connect('b'), await nodes.connect('c')]
  for (const client of [a, b, c]) await client.join(room)
  for (const n of range(1, 3)) await a.publish(room, n)
  const { epoch } = positionOf(await c.join(room))
  for (const client of [b, c])
    t.same(await until(client, room, 3), [
      [1, 1],
      [2, 2],
      [3, 3],
    ])
  await forget(nodes)
  await a.publish(room, 4)
  await a.publish(room, 5)
  for (const client of [b, c]) t.same(await until(client, room, 5), ['reset 0', [4, 1], [5, 2]])
  const reset = await a.next('reset')
  t.match(reset, { room, epoch: String, offset: 0 }, 'the sender too')
  t.not(reset.epoch, epoch)
  // As docs/WITHOUT-CLIENT.md has it: the same position as before the reset.
  const { joined, missed } = await rejoin(b, room, { epoch, offset: 3 })
  t.match(joined, { recovered: false, missed: 0, epoch: reset.epoch, offset: 2 })
  t.same(missed, [])
  t.match((await rejoin(b, room, { epoch: String(reset.epoch), offset: 1 })).joined, {
    recovered: true,
    missed: 1,
  })
  await a.publish(room, 6)
  t.same((await until(c, room, 6)).at(-1), [6, 3])
  await nodes.close(a, b, c)
}

async function tellsWithJoin(t: Test, nodes: Nodes, forget: RecoveryOptions['forget']): Promise<void> {
  const room = newRoom()
  const [a, b] = [await nodes.connect('a'), await nodes.connect('b')]
  const old = positionOf(await a.join(room))
  await b.join(room)
  await a.publish(room, 1)
  await b.next('message')
  await forget(nodes)
  // One on each node, so that each of them learns of it.
  const joiners = [await nodes.connect('c'), await nodes.connect('d')]
  for (const joiner of joiners) {
    const joined = await joiner.request({ type: 'join', room, since: { ...old, offset: 1 } })
    t.match(joined, { recovered: false, offset: 0 })
    t.not(joined.epoch, old.epoch)
  }
  for (const client of [a, b]) t.match(await client.next('reset'), { room, offset: 0 }, 'without a message')
  await a.publish(room, 2)
  for (const client of [b, ...joiners]) t.match(await client.next('message'), { content: 2, offset: 1 })
  await nodes.close(a, b, ...joiners)
}

/** Common clients take frames of 1 MiB at most. */
async function givesLargeHistoryInParts(t: Test, a: Client, b: Client): Promise<void> {
  const room = newRoom()
  const { epoch } = positionOf(await b.join(room))
  await a.join(room)
  for (const n of range(1, 5)) await a.publish(room, `${n}`.repeat(200_000))
  const ask = async (more: object) => {
    const { messages } = await b.request({ type: 'history', room, ...more })
    return offsets(messages as Envelope[])
  }
  t.same(await ask({}), [3, 4, 5], 'the newest that fit into a frame')
  t.same(await ask({ since: { epoch, offset: 0 } }), [1, 2, 3], 'the oldest after since')
  t.same(await ask({ since: { epoch, offset: 3 } }), [4, 5], 'and the rest')
  await Promise.all([a, b].map((client) => client.leave(room)))
}

async function givesHistory(t: Test, nodes: Nodes): Promise<void> {
  const room = newRoom()
  const [a, b] = [await nodes.connect('a'), await nodes.connect('b')]
  t.match(await b.request({ type: 'history', room }), { type: 'error', code: 'not_member', room })
  const { epoch } = positionOf(await b.join(room))
  await a.join(room)
  t.match(await b.request({ type: 'history', room }), { epoch, offset: 0, messages: [] })
  for (const n of range(1, 8)) await a.publish(room, n)
  const ask = async (more: Record<string, unknown>) => {
    const reply = await b.request({ type: 'history', room, ...more })
    t.match(reply, { type: 'history', room, epoch, offset: 8 })
    return offsets(reply.messages as Envelope[])
  }
  t.same(await ask({}), range(1, 8), 'all')
  t.same(await ask({ limit: 3 }), [6, 7, 8], 'the newest, in order')
  t.same(await ask({ limit: 1 }), [8])
  t.same(await ask({ limit: 1_000_000 }), range(1, 8))
  t.same(await ask({ since: { epoch, offset: 5 } }), [6, 7, 8], 'those after since')
  t.same(await ask({ since: { epoch, offset: 5 }, limit: 2 }), [6, 7], 'the oldest of them')
  t.same(await ask({ since: { epoch, offset: 0 }, limit: 2 }), [1, 2])
  t.same(await ask({ since: { epoch, offset: 8 } }), [])
  t.same(await ask({ since: { epoch, offset: 9 } }), [])
  t.same(
    await ask({ since: { epoch: 'x', offset: 5 } }),
    [],
    'none of another epoch; the answer names this one',
  )
  for (const limit of [0, -1, 1.5, '3', null, true, []]) {
    t.match(
      await b.request({ type: 'history', room, limit }),
      { type: 'error', code: 'bad_envelope' },
      `limit ${JSON.stringify(limit)}`,
    )
  }
  await givesLargeHistoryInParts(t, a, b)
  const live = (await b.fence()).filter(({ type, room: of }) => type === 'message' && of === room)
  const { messages } = await b.request({ type: 'history', room })
  t.same(messages, live, 'they are the very envelopes')
  await b.leave(room)
  t.match(await b.request({ type: 'history', room }), { code: 'not_member' })
  t.match(await b.request({ type: 'history', room: '' }), { code: 'bad_room' })
  t.match(await b.request({ type: 'history' }), { code: 'bad_envelope' })
  await nodes.close(a, b)
}

async function publishesOnce(t: Test, nodes: Nodes): Promise<void> {
  const [room, other] = [newRoom(), newRoom()]
  const [a, b, c] = [await nodes.connect('a'), await nodes.connect('a'), await nodes.connect('c')]
  for (const client of [a, b, c]) for (const one of [room, other]) await client.join(one)
  t.match(await a.publish(room, 1, { key: 'k' }), { offset: 1, duplicate: undefined })
  t.match(await a.publish(room, 'x', { key: 'k' }), { offset: 1, duplicate: true, scope: 'cluster' })
  t.match(await b.publish(room, 'x', { key: 'k' }), { offset: 1, duplicate: true }, 'on another connection')
  t.match(await a.publish(room, 2, { key: 'l' }), { offset: 2, duplicate: undefined }, 'another key')
  t.match(await c.publish(room, 3, { key: 'k' }), { offset: 3, duplicate: undefined }, 'another user')
  t.match(await a.publish(other, 4, { key: 'k' }), { offset: 1, duplicate: undefined }, 'another room')
  t.match(await a.publish(room, 5, { key: 'k'.repeat(64) }), { offset: 4 }, '64 characters')
  a.send({ type: 'message', room, content: 'x', key: 'k' })
  t.same(contents(await a.fence()), [3], 'a repeat without id is silent')
  for (const key of ['', 'k'.repeat(65), 5, null, {}])
    t.match(await a.request({ type: 'message', room, content: 'x', key }), { code: 'bad_envelope' })
  const mark = randomUUID()
  t.match(await a.publish(undefined, 6, { key: mark }), { duplicate: undefined, scope: 'cluster' })
  t.match(await b.publish(undefined, 'x', { key: mark }), { duplicate: true }, 'a broadcast too')
  await a.publish(room, 'end')
  const seen = contents(await c.collectUntil(({ content }) => content === 'end'))
  t.same(seen, [1, 2, 4, 5, 6, 'end'], 'each is delivered once')
  await b.collectUntil(({ content }) => content === 'end')

  // At the same moment, from two nodes.
  for (const n of range(1, 30)) {
    const key = `race-${n}`
    const acks = await Promise.all([a, b].map((client) => client.publish(room, n, { key })))
    t.equal(acks.filter(({ duplicate }) => duplicate === true).length, 1, 'one of the two is the repeat')
    t.equal(acks[0]?.offset, acks[1]?.offset)
  }
  await a.publish(room, 'end')
  const raced = contents(await c.collectUntil(({ content }) => content === 'end'))
  t.same(raced, [...range(1, 30), 'end'])

  // The connection is lost before the ack: sent again with its key, it has reached everybody once.
  for (const n of range(1, 20)) {
    const sender = await nodes.connect('s')
    await sender.join(room)
    const message = { type: 'message', room, content: n, key: `lost-${n}` }
    sender.send({ ...message, id: 'first' })
    // By turns before it can have arrived, and after.
    if (n % 2) await sender.next(({ id }) => id === 'first')
    sender.socket.reset()
    const back = await nodes.connect('s')
    await back.join(room)
    const ack = await back.request(message)
    t.equal(ack.type, 'ack')
    if (n % 2) t.equal(ack.duplicate, true)
    await back.close()
  }
  await a.publish(room, 'end')
  t.same(contents(await c.collectUntil(({ content }) => content === 'end')), [...range(1, 20), 'end'])
  await nodes.close(a, b, c)
}

async function keepsSome(t: Test, nodes: Nodes): Promise<void> {
  const [a, b] = [await nodes.connect('a'), await nodes.connect('b')]
  const room = newRoom()
  const { epoch } = positionOf(await a.join(room))
  for (const n of range(1, 6)) await a.publish(room, n)
  t.match((await rejoin(b, room, { epoch, offset: 1 })).joined, { recovered: true, missed: 5, offset: 6 })
  const lost = await rejoin(b, room, { epoch, offset: 0 })
  t.match(lost.joined, { recovered: false, missed: 0, offset: 6, epoch }, 'the oldest is gone')
  t.same(lost.missed, [])
  t.match((await b.request({ type: 'history', room })).messages, { length: 5 })

  const heavy = newRoom()
  const start = positionOf(await a.join(heavy))
  await b.join(heavy)
  for (const _ of range(1, 3)) await a.publish(heavy, 'x'.repeat(1_500))
  t.match(
    (await rejoin(b, heavy, start)).joined,
    { recovered: false },
    'three of 1,500 bytes are over the bound',
  )
  t.match((await rejoin(b, heavy, { ...start, offset: 1 })).joined, { recovered: true, missed: 2 })
  await a.publish(heavy, 'x'.repeat(5_000))
  t.match(
    (await rejoin(b, heavy, { ...start, offset: 3 })).joined,
    { recovered: false, offset: 4 },
    'as is one',
  )
  t.match((await rejoin(b, heavy, { ...start, offset: 4 })).joined, { recovered: true, missed: 0 })
  await a.publish(heavy, 1)
  t.match((await rejoin(b, heavy, { ...start, offset: 4 })).joined, { recovered: true, missed: 1 })

  const old = newRoom()
  const before = positionOf(await a.join(old))
  await b.join(old)
  for (const n of range(1, 3)) await a.publish(old, n)
  await pace(1_100)
  t.match(
    (await rejoin(b, old, before)).joined,
    { recovered: false, offset: 3, epoch: before.epoch },
    'lapsed',
  )
  t.match((await rejoin(b, old, { ...before, offset: 3 })).joined, { recovered: true, missed: 0 })
  await a.publish(old, 4)
  t.match((await rejoin(b, old, { ...before, offset: 3 })).joined, { recovered: true, missed: 1 })
  t.match((await rejoin(b, old, { ...before, offset: 2 })).joined, { recovered: false, offset: 4 })
  await nodes.close(a, b)
}

type Step = { publish: number } | 'drop' | 'rejoin' | 'expire'

const publish = fc.record({ publish: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 1_500 })) })
/** A time away, as most faults need it, or a step by itself. */
const steps: fc.Arbitrary<Step[]> = fc.oneof(
  fc
    .array(
      fc.oneof({ weight: 9, arbitrary: publish }, { weight: 1, arbitrary: fc.constant('expire' as const) }),
      { maxLength: 8, size: 'max' },
    )
    .map((away): Step[] => ['drop', ...away, 'rejoin']),
  publish.map((one): Step[] => [one]),
  fc.constant<Step[]>(['rejoin']),
)
/** Rooms that run side by side: what lapses takes a second in all of them at once. */
const rooms = fc.array(
  fc.array(steps, { minLength: 4, maxLength: 10, size: 'max' }).map((blocks) => blocks.flat()),
  { minLength: 12, maxLength: 12 },
)

async function schedules(t: Test, nodes: Nodes): Promise<void> {
  let recoveries = 0
  let losses = 0
  await fc.assert(
    fc.asyncProperty(rooms, async (all) => {
      const counts = await Promise.all(all.map((steps) => runSchedule(nodes, steps)))
      for (const { recovered, lost } of counts) {
        recoveries += recovered
        losses += lost
      }
    }),
    { numRuns: 3, endOnFailure: true },
  )
  t.ok(recoveries > 20 && losses > 10, `${recoveries} recoveries, ${losses} losses, and none of them untrue`)
}

/** One room and one member that drops and comes back; throws when a recovery has a hole, or a live message is missing. */
async function runSchedule(nodes: Nodes, steps: Step[]): Promise<{ recovered: number; lost: number }> {
  const room = newRoom()
  const counts = { recovered: 0, lost: 0 }
  const publisher = await nodes.connect('p')
  await publisher.join(room)
  let member: Client | undefined = await nodes.connect('m')
  let position = positionOf(await member.join(room))
  const published: { text: string; atMs: number; bytes: number }[] = []
  try {
    for (const one of steps) {
      if (one === 'expire') await pace(1_050)
      if (one === 'drop') {
        member?.socket.destroy()
        member = undefined
      }
      if (one === 'rejoin') {
        member ??= await nodes.connect('m')
        await member.fence()
        const { joined, missed } = await rejoin(member, room, position)
        const got = contents(missed).map((content) => JSON.stringify(content))
        const expected = published.slice(position.offset)
        if (joined.recovered) {
          counts.recovered++
          if (JSON.stringify(got) !== JSON.stringify(expected.map(({ text }) => text)))
            throw new Error(`recovered ${got.length} of ${expected.length} with a hole`)
        } else {
          counts.lost++
          if (got.length > 0) throw new Error('messages without a recovery')
          if (isKept(expected)) throw new Error(`${expected.length} messages are there, and not recovered`)
        }
        if (joined.offset !== published.length || joined.epoch !== position.epoch)
          throw new Error(`${JSON.stringify(joined)} after ${published.length}`)
        position = positionOf(joined)
      }
      if (typeof one === 'object') {
        const content = [published.length, 'x'.repeat(one.publish)]
        const text = JSON.stringify(content)
        await publisher.publish(room, content)
        published.push({ text, atMs: performance.now(), bytes: text.length + 250 })
        if (member !== undefined) {
          const { offset } = await member.next('message')
          if (offset !== published.length) throw new Error(`live: ${offset} instead of ${published.length}`)
          position = { ...position, offset: published.length }
        }
      }
    }
  } finally {
    member?.socket.destroy()
    publisher.socket.destroy()
  }
  return counts
}

/** Whether the bounds surely keep all of them: even the first is young, and they are few and small. */
function isKept(messages: { atMs: number; bytes: number }[]): boolean {
  const [first] = messages
  if (first === undefined) return true
  const bytes = messages.reduce((sum, one) => sum + one.bytes, 0)
  return messages.length <= 5 && bytes <= 4_000 && performance.now() - first.atMs < 500
}

/**
 * A publisher at each node sends as fast as acks come back, and followers drop and come back, at random and to any
 * node, all the while.
 */
export async function atFullSpeed(
  t: Test,
  nodes: Nodes,
  { followers: count, forMs }: { followers: number; forMs: number },
): Promise<void> {
  const WINDOW = 16
  const room = newRoom()
  const ledger = new Ledger()
  const token = tokenFor('f')
  const random = () => nodes.all[Math.floor(Math.random() * nodes.all.length)] as Server
  const followers = Array.from(
    { length: count },
    () => new Follower({ room, token, ledger, address: random }),
  )
  t.teardown(() => {
    for (const follower of followers) follower.drop()
  })
  for (const follower of followers) follower.begin()
  await ledger.until('all have joined', () => followers.every(({ isJoined }) => isJoined), 20_000)

  let isOn = true
  let sent = 0
  let highest = 0
  const publish = async (node: Server) => {
    const publisher = await connect(node, 'p', {}, { record: false })
    let unacked = 0
    let scoped = 0
    publisher.onEnvelope = ({ type, scope, offset }) => {
      if (type !== 'ack') return
      unacked--
      if (scope !== 'cluster') scoped++
      highest = Math.max(highest, Number(offset))
    }
    publisher.send({ type: 'join', room })
    while (isOn) {
      while (unacked < WINDOW) {
        unacked++
        const n = sent++
        publisher.send({ type: 'message', room, id: n, content: { n, atMs: performance.now() } })
      }
      const before = unacked
      await publisher.socket.until('an ack', () => unacked < before, 10_000)
    }
    await publisher.socket.until('all acks', () => unacked === 0, 10_000)
    await publisher.close()
    return scoped
  }
  const wander = async (follower: Follower) => {
    while (isOn) {
      await pace(Math.random() * 150)
      follower.drop()
      await pace(Math.random() ** 3 * 60)
      follower.begin()
      await ledger.until('joined again', () => follower.isJoined, 20_000)
    }
  }
  const publishing = Promise.all(nodes.all.map(publish))
  const wandering = Promise.all(followers.map(wander))
  await pace(forMs)
  isOn = false
  const scoped = await publishing
  await wandering
  t.same(new Set(scoped), new Set([0]), 'every ack says cluster')
  await ledger.until(
    () => `everybody is at ${highest}: ${followers.map(({ position }) => position?.offset)}`,
    () => followers.every(({ position }) => position?.offset === highest),
    20_000,
  )
  const numbers = new Set(ledger.numbers.values())
  t.equal(highest, sent, `each of ${sent} messages has one offset`)
  t.ok(numbers.size === ledger.numbers.size && Math.max(...numbers) < sent, 'and no offset has two')
  t.same(
    followers.flatMap(({ faults }) => faults),
    [],
    'none twice, none missing, in order',
  )
  const returns = followers.flatMap((follower) => follower.returns)
  const lost = returns.filter(({ recovered }) => !recovered).length
  const missed = returns.reduce((sum, one) => sum + one.missed, 0)
  t.equal(lost, 0, `${returns.length} returns, all recovered, with ${missed} messages missed meanwhile`)
  t.ok(returns.length > count && missed > 0)
}
