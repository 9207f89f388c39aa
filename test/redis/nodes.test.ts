// Cases that need a second node, and what many nodes on one Redis promise besides.
import t, { type Test } from 'tap'
import { settings } from '../../src/settings.ts'
import { type Client, connect, type Envelope } from '../support/client.ts'
import { frame, hex, OPCODE, textFrame } from '../support/frames.ts'
import { freePort } from '../support/free-port.ts'
import { firstMessages, lastLeaveFirstJoin, type Races } from '../support/join-races.ts'
import {
  fenceAcross,
  joinFence,
  nodesAre,
  pauseAgainAndAgain,
  startNodes,
  watchChannels,
} from '../support/nodes.ts'
import { RawSocket } from '../support/raw-socket.ts'
import { startRedis, type TestRedis } from '../support/redis.ts'
import { type Server, startServer } from '../support/server.ts'
import { clientsAre, stillServing } from '../support/still-serving.ts'
import { TcpRelay } from '../support/tcp-relay.ts'
import { tokenFor } from '../support/token.ts'
import { pollUntil } from '../support/until.ts'

const LIMIT = 524_288
/** So that a burst of large messages is never a slow client's. */
const OUTBOX = String(256 * 1024 * 1024)

let redis: TestRedis
let one: Server
let two: Server
t.before(async () => {
  redis = await startRedis()
  ;[one, two] = (await startNodes(t, 2, { REDIS_URL: redis.url, OUTBOX_MAX_BYTES: OUTBOX })) as [
    Server,
    Server,
  ]
})
t.teardown(() => redis.stop())

/** A client of each node that names one, all of them ready to be fenced. */
async function connectAll(...users: [Server, string][]): Promise<Client[]> {
  const clients = await Promise.all(users.map(([node, user]) => connect(node, user)))
  await joinFence(...clients)
  return clients
}

/** A at node 1 sends; B beside it and C at node 2 get. */
async function connectAbc(): Promise<[Client, Client, Client]> {
  return (await connectAll([one, 'a'], [one, 'b'], [two, 'c'])) as [Client, Client, Client]
}

async function closeAll(...clients: Client[]): Promise<void> {
  await Promise.all(clients.map((client) => client.close()))
  await Promise.all([one, two].map((node) => clientsAre(node, 0, { rooms: 0, deadlineMs: 5_000 })))
}

/** Both nodes serve on, B at node 1 and C at node 2 included; no warning and no error is in their logs. */
async function bothServe(t: Test, b: Client, c: Client, open: [number, number]): Promise<void> {
  await stillServing(t, one, { bystander: b, open: open[0] })
  await stillServing(t, two, { bystander: c, open: open[1] })
}

/** A message to r whose frame has exactly so many bytes. */
function messageOf(bytes: number, filler = 'a'): string {
  const empty = '{"type":"message","room":"r","content":""}'
  const width = Buffer.byteLength(filler)
  const room = bytes - empty.length
  return empty.replace('""}', `"${filler.repeat(Math.floor(room / width))}${'a'.repeat(room % width)}"}`)
}

const contentOf = ({ content }: Envelope) => content

t.test('B02 nesting too deep is refused alike on both nodes, and reaches neither', async (t) => {
  for (const [here, there] of [
    [one, two],
    [two, one],
  ] as const) {
    const [a, b, c] = (await connectAll([here, 'a'], [here, 'b'], [there, 'c'])) as [Client, Client, Client]
    for (const client of [a, b, c]) await client.join('r')
    const makes: ((depth: number) => string)[] = [
      (depth) => '['.repeat(depth) + ']'.repeat(depth),
      (depth) => `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`,
    ]
    const places: ((value: string) => string)[] = [
      (value) => `{"type":"message","room":"r","content":${value}}`,
      (value) => `{"type":"message","content":${value}}`,
      (value) => `{"type":"message","room":${value},"content":1}`,
      (value) => `{"type":"message","room":"r","content":1,"extra":${value}}`,
    ]
    for (const put of places) {
      for (const [index, make] of makes.entries()) {
        for (const depth of [65, 5_000, 9_000, 20_000, index ? 80_000 : 250_000]) {
          a.send(put(make(depth)))
          t.match(await a.fence(), [{ type: 'error', code: 'bad_envelope' }], `${depth} deep`)
        }
      }
    }
    const nested = '['.repeat(63) + ']'.repeat(63)
    a.send(`{"type":"message","room":"r","content":${nested}}`)
    t.same(await fenceAcross(a, a), [], 'no error at the limit')
    for (const client of [b, c]) {
      const got = await fenceAcross(a, client)
      t.equal(got.length, 1, 'one message in all')
      t.ok(
        client.text(got[0] as Envelope).includes(`"content":${nested},`),
        'that at the limit, as it stands',
      )
    }
    await Promise.all([a.close(), b.close(), c.close()])
  }
  const [b, c] = (await connectAll([one, 'b'], [two, 'c'])) as [Client, Client]
  await b.join('r')
  await c.join('r')
  await bothServe(t, b, c, [1, 1])
  await closeAll(b, c)
})

t.test('B04 a message of the largest size goes whole to both nodes, a larger one to neither', async (t) => {
  const [a, b, c] = await connectAbc()
  for (const client of [a, b, c]) await client.join('r')
  const { epoch, offset } = await b.join('r')
  for (const [bytes, filler] of [
    [LIMIT - 1, 'a'],
    [LIMIT, 'a'],
    [LIMIT, '\u20ac'],
    [LIMIT, '\ud83d\ude00'],
  ] as const) {
    const text = messageOf(bytes, filler)
    t.equal(Buffer.byteLength(text), bytes)
    a.send(text)
    t.same(await fenceAcross(a, a), [], 'no complaint')
    const [[here], [there]] = [await fenceAcross(a, b), await fenceAcross(a, c)]
    t.ok(here?.content === JSON.parse(text).content, 'whole beside the sender')
    t.ok(there && here && c.text(there) === b.text(here), 'the same text at the other node')
  }
  // What history keeps of them is whole too, and as large as HISTORY_MAX_BYTES allows.
  const kept = await c.request({ type: 'history', room: 'r' })
  t.ok((kept.messages as Envelope[]).length >= 1, 'the newest are kept')
  t.match(kept, { epoch, offset: Number(offset) + 4 })
  t.equal((kept.messages as Envelope[]).at(-1)?.offset, Number(offset) + 4)

  const body = Buffer.from(messageOf(LIMIT + 1))
  const tooLarge: [name: string, bytes: Buffer][] = [
    ['one frame', frame(OPCODE.text, body)],
    [
      'two fragments',
      Buffer.concat([
        frame(OPCODE.text, body.subarray(0, 300_000), { fin: false }),
        frame(OPCODE.continuation, body.subarray(300_000)),
      ]),
    ],
    ['a header that claims 1 MiB', hex('81ff 0000000000100000 00000000 61616161')],
    ['a header that claims 2^63', hex('81ff 8000000000000000 00000000')],
  ]
  for (const [name, bytes] of tooLarge) {
    for (const node of [one, two]) {
      const socket = await RawSocket.upgrade(node, `/ws?token=${tokenFor('raw')}`)
      socket.write(textFrame('{"type":"join","room":"r"}'))
      await socket.frame('joined', ({ payload }) => payload.includes('"joined"'))
      const before = node.rss()
      socket.write(bytes)
      const how = await socket.ended()
      const close = await socket.close(1).catch(() => undefined)
      if (bytes.length < 100 || close) t.equal(close?.code, 1009, `${name}: Close 1009`)
      else t.equal(how, 'reset', `${name}: a reset took the Close away`)
      if (bytes.length < 100)
        await pollUntil(`${name}: RSS rise < 2 MB`, () => node.rss() < before + 2_000_000)
      socket.destroy()
    }
  }
  for (const client of [b, c]) t.same(await fenceAcross(a, client), [], 'nothing of it was delivered')
  await bothServe(t, b, c, [2, 1])
  await closeAll(a, b, c)
})

t.test('B07 content is the same bytes on both nodes: live, recovered, and as history', async (t) => {
  const [a, b, c] = await connectAbc()
  const room = 'bytes'
  const { epoch, offset } = await a.join(room)
  await b.join(room)
  await c.join(room)
  const contents = [
    '"\\ud83d"',
    '"\\ude00\\ud83d"',
    '"a\\u0000b"',
    '"\\u2028"',
    '"\u2028\u2029"',
    '9007199254740993',
    '1e400',
    '-0',
    '1.0',
    '1E+2',
    '{"__proto__":{"x":1},"constructor":1,"toString":null}',
    '{"a":1,"a":2}',
    'null',
    'false',
    '0',
    '""',
    '[]',
    '{ "b" : [ 1 ,\t2 ] , "a":\n{} }',
    '"\u{1f600}\u00e9"',
    '"%s %d \\r\\n $5 ]]"',
    '",\\"offset\\":7}"',
  ]
  const texts: string[] = []
  for (const content of contents) {
    a.send(`{"type":"message","room":"${room}","content":${content}}`)
    a.send(`{"type":"message","content":${content}}`)
    const [here, there] = [await fenceAcross(a, b), await fenceAcross(a, c)]
    t.equal(here.length, 2, JSON.stringify(content).replaceAll(/[^\x20-\x7e]/gu, '.'))
    t.same(
      there.map((envelope) => c.text(envelope)),
      here.map((envelope) => b.text(envelope)),
      'the same text on both nodes',
    )
    for (const envelope of here) {
      const text = b.text(envelope)
      t.ok(text.includes(`"content":${content},"from"`), 'the sender\u2019s own')
      t.strictSame(envelope.content, JSON.parse(content))
      const keys = ['type', 'content', 'from', 'at', ...('room' in envelope ? ['room', 'offset'] : [])]
      t.same(new Set(Object.keys(envelope)), new Set(keys), 'no field but the documented ones')
    }
    texts.push(b.text(here[0] as Envelope))
  }
  t.match(await c.request({ type: 'message', room }), { code: 'bad_envelope' }, 'no content at all')
  const late = await connect(two, 'late')
  t.match(await late.request({ type: 'join', room, since: { epoch, offset } }), {
    recovered: true,
    missed: contents.length,
  })
  t.same(
    (await late.fence()).map((envelope) => late.text(envelope)),
    texts,
    'recovered: the same text again',
  )
  const kept = await late.request({ type: 'history', room })
  t.ok(late.text(kept).endsWith(`"messages":[${texts.join(',')}]}`), 'in the history too')
  await b.join('r')
  await c.join('r')
  await bothServe(t, b, c, [2, 2])
  await closeAll(a, b, c, late)
})

t.test('B22 a client\u2019s order holds across the bridge, also while Redis hesitates', async (t) => {
  const message = (n: number, pad = '') => ({ type: 'message', room: 'r', content: pad ? { n, pad } : { n } })
  const [a, b, c] = await connectAbc()
  await b.join('r')
  await c.join('r')
  const round = async (name: string, count: number, padOf: (n: number) => string) => {
    const requests: Envelope[] = [
      { type: 'join', room: 'r', id: 'first' },
      ...Array.from({ length: count }, (_, i) => message(i + 1, padOf(i + 1))),
      { type: 'leave', room: 'r', id: 'second' },
      { ...message(-1), id: 'third' },
      { type: 'join', room: 'r', id: 'fourth' },
      message(count + 1),
      { type: 'leave', room: 'r', id: 'fifth' },
    ]
    a.socket.write(Buffer.concat(requests.map((request) => textFrame(JSON.stringify(request)))))
    const replies = await a.collectUntil(({ id }) => id === 'fifth', 60_000)
    t.match(
      replies,
      [
        { type: 'joined', id: 'first' },
        { type: 'left', id: 'second' },
        { type: 'error', code: 'not_member', id: 'third' },
        { type: 'joined', id: 'fourth' },
        { type: 'left', id: 'fifth' },
      ],
      `${name}: replies in order`,
    )
    t.equal(replies.length, 5)
    const expected = Array.from({ length: count + 1 }, (_, i) => i + 1)
    for (const [client, where] of [
      [b, 'beside the sender'],
      [c, 'at the other node'],
    ] as const) {
      const got = await client.collectUntil(
        ({ content }) => (content as { n: number }).n === count + 1,
        60_000,
      )
      t.strictSame(
        got.map(({ content }) => (content as { n: number }).n),
        expected,
        `${name}: all in order ${where}`,
      )
    }
  }
  const large = (n: number) => (n % 2 ? '' : 'x'.repeat(400_000))
  await round('small', 500, () => '')
  await round('10 B and 400 KB by turns', 100, large)
  const stop = await pauseAgainAndAgain(redis, 200, 300)
  await round('small, with pauses', 500, () => '')
  await round('10 B and 400 KB by turns, with pauses', 60, large)
  await stop()

  const pairs = Array.from({ length: 1_000 }, (_, i) => [
    { type: 'join', room: 'r', id: 2 * i },
    { type: 'leave', room: 'r', id: 2 * i + 1 },
  ]).flat()
  a.socket.write(Buffer.concat(pairs.map((request) => textFrame(JSON.stringify(request)))))
  const replies = await a.collectUntil(({ id }) => id === 1_999, 30_000)
  t.equal(replies.length, 2_000)
  t.equal(
    replies.findIndex(({ type, id }, i) => id !== i || type !== (i % 2 ? 'left' : 'joined')),
    -1,
    '1,000 pairs of join and leave are answered in order',
  )
  await c.publish('r', 'after')
  t.same(await fenceAcross(c, a), [], 'the last one was a leave')
  a.socket.write(Buffer.concat(pairs.slice(0, 201).map((request) => textFrame(JSON.stringify(request)))))
  await a.collectUntil(({ id }) => id === 200, 30_000)
  await c.publish('r', 'again')
  t.same((await fenceAcross(c, a)).map(contentOf), ['again'], 'the last one was a join')
  await fenceAcross(a, b)
  await bothServe(t, b, c, [2, 1])
  await closeAll(a, b, c)
})

t.test('B27 a room may have any name on both nodes, and is that room only', async (t) => {
  const names = [
    ...['__proto__', 'constructor', 'prototype', 'toString', 'valueOf', 'hasOwnProperty'],
    ...['__defineGetter__', 'length', 'size', '0', '-1', 'undefined', 'null', 'NaN', 'then', 'on', 'error'],
    ...['message', 'smessage', 'subscribe', 'end', 'close', '\u00e9', 'e\u0301', ' ', 'a b', '%41', 'A'],
  ]
  const [a, b, c] = await connectAbc()
  const everywhere = await connect(two, 'd')
  await joinFence(everywhere)
  for (const room of names) {
    t.match(await a.request({ type: 'message', room, content: 0 }), { code: 'not_member' }, room)
    t.match(await c.leave(room), { type: 'left', room }, 'leave without join')
  }
  t.match([(await one.health()).rooms, (await two.health()).rooms], [1, 1], 'none of it made a room')
  for (const room of names) await everywhere.join(room)
  for (const room of names) {
    for (const client of [a, b, c]) t.match(await client.join(room), { type: 'joined', room })
    t.match(await a.publish(room, 1), { type: 'ack', room, scope: 'cluster', offset: 1 })
    for (const client of [b, c]) {
      const got = await fenceAcross(a, client)
      t.match(got, [{ type: 'message', room, content: 1 }], room)
      t.equal(got.length, 1, 'exactly one copy')
    }
    for (const client of [a, a, c]) t.match(await client.leave(room), { type: 'left', room })
  }
  const seen = await fenceAcross(a, everywhere)
  t.same(
    seen.map(({ room, content }) => [room, content]),
    names.map((room) => [room, 1]),
    'one message of each room, none taken for another',
  )
  // B goes without leaving, and so does the one that is in all of them.
  b.socket.reset()
  everywhere.socket.reset()
  await clientsAre(one, 1, { rooms: 1 })
  await clientsAre(two, 1, { rooms: 1 })
  await pollUntil('the channels are given back', async () => {
    const channels = (await redis.command('PUBSUB', 'CHANNELS', '*')) as string[]
    // Everybody's, the nodes', each node's own, and the one room's that is left.
    return channels.length === 5
  })
  for (const key of (await redis.command('KEYS', '*')) as string[]) {
    // -2: it has lapsed since.
    if ((await redis.command('PTTL', key)) === -1) t.fail(`${key} has no TTL`)
  }
  await closeAll(a, c)
})

t.test('B29 joining again changes nothing on either node, and one leave undoes it', async (t) => {
  const [a, b, c] = await connectAbc()
  const other = await connect(two, 'a')
  await joinFence(other)
  await b.join('r')
  await c.join('r')
  for (const [sender, where] of [
    [b, 'its own node'],
    [c, 'the other node'],
  ] as const) {
    const copies = async (client: Client) => (await fenceAcross(sender, client)).length
    for (let i = 0; i < 3; i++) t.match(await a.join('r'), { type: 'joined', room: 'r' })
    await sender.publish('r', 1)
    t.equal(await copies(a), 1, `one copy from ${where}`)
    await a.leave('r')
    await sender.publish('r', 2)
    t.equal(await copies(a), 0, 'none after the first leave')
    t.match(await a.leave('r'), { type: 'left' })
    t.match(await a.leave('never-joined'), { type: 'left' })
    for (const type of ['join', 'leave']) {
      a.send({ type })
      t.match(await a.fence(), [{ type: 'error', code: 'bad_envelope' }], `${type} without room`)
    }
    a.socket.write(Buffer.concat(Array(50).fill(textFrame('{"type":"join","room":"r"}'))))
    const joined = await a.fence()
    t.equal(joined.filter(({ type }) => type === 'joined').length, 50, 'each of 50 joins is answered')
    await sender.publish('r', 3)
    t.equal(await copies(a), 1)
    // Another client of the user, on the other node.
    await other.join('r')
    await sender.publish('r', 4)
    t.equal(await copies(a), 1)
    t.equal(await copies(other), 1)
    await other.leave('r')
    await sender.publish('r', 5)
    t.equal(await copies(a), 1, 'the leave of another client of the user does not count')
    t.equal(await copies(other), 0)
    await a.leave('r')
    await sender.publish('r', 6, { echo: true })
    t.equal(await copies(a), 0)
    await fenceAcross(a, sender)
  }
  await closeAll(a, b, c, other)
})

t.test('B29 a join while a join waits for Redis', async (t) => {
  const [a, b, c] = await connectAbc()
  await c.join('waits')
  await redis.command('CLIENT', 'PAUSE', 1000, 'ALL')
  a.send({ type: 'join', room: 'waits', id: 1 })
  a.send({ type: 'join', room: 'waits', id: 2 })
  a.send({ type: 'leave', room: 'waits', id: 3 })
  a.send({ type: 'join', room: 'waits', id: 4 })
  b.send({ type: 'join', room: 'waits', id: 5 })
  t.match(
    await a.collectUntil(({ id }) => id === 4, 10_000),
    [
      { type: 'joined', id: 1, scope: undefined },
      { type: 'joined', id: 2, scope: undefined },
      { type: 'left', id: 3 },
      { type: 'joined', id: 4, scope: undefined, epoch: String, offset: 0 },
    ],
    'they wait, and are then joined everywhere',
  )
  t.match(await b.next(({ id }) => id === 5), { type: 'joined', offset: 0 })
  await nodesAre(two, 2)
  t.match(await c.publish('waits', 1), { scope: 'cluster' })
  for (const client of [a, b]) t.same((await fenceAcross(c, client)).map(contentOf), [1], 'one copy')
  await a.leave('waits')
  await c.publish('waits', 2)
  t.same(await fenceAcross(c, a), [])
  t.same((await fenceAcross(c, b)).map(contentOf), [2], 'another member stays')
  await closeAll(a, b, c)
})

t.test(
  'B30 only members publish, a broadcast reaches all, and the envelope is the server\u2019s',
  async (t) => {
    const [a, b, c] = await connectAbc()
    const d = await connect(two, 'd')
    await joinFence(d)
    await b.join('r')
    await c.join('r')
    const refused = { type: 'error', code: 'not_member', room: 'r' }
    for (const client of [a, d]) {
      t.match(await client.request({ type: 'message', room: 'r', content: 1 }), refused, 'never joined')
      await client.join('r')
      await client.leave('r')
      t.match(await client.request({ type: 'message', room: 'r', content: 2 }), refused, 'joined and left')
      t.match(await client.request({ type: 'message', room: 'nobody', content: 3 }), { code: 'not_member' })
    }
    for (const [sender, receiver] of [
      [a, b],
      [d, c],
      [a, c],
      [d, b],
    ] as const)
      t.same(await fenceAcross(sender, receiver), [], 'nothing was delivered')
    t.same([(await one.health()).rooms, (await two.health()).rooms], [2, 2], 'and no room made')

    for (const sender of [a, c]) {
      t.match(await sender.publish(undefined, 'all'), { type: 'ack', scope: 'cluster', room: undefined })
      for (const client of [a, b, c, d]) {
        const got = await fenceAcross(sender, client)
        if (client === sender) t.same(got, [], 'not to the sender')
        else t.match(got, [{ type: 'message', content: 'all', from: { client: sender.id } }], 'once to each')
        t.ok(got.length <= 1 && got.every((envelope) => !('room' in envelope)), 'and without a room')
      }
      await sender.publish(undefined, 'echoed', { echo: true })
      for (const client of [a, b, c, d])
        t.same(
          (await fenceAcross(sender, client)).map(contentOf),
          ['echoed'],
          'with an echo to the sender too',
        )
    }
    a.send({ type: 'message', rooms: ['r'], content: 'rooms' })
    for (const client of [b, c, d])
      t.same((await fenceAcross(a, client)).map(contentOf), ['rooms'], 'an unknown field is not looked at')

    await a.join('r')
    a.send(
      `{"type":"message","room":"r","content":{"type":"joined"},"from":{"client":"${b.id}","user":"root"},"at":1,` +
        '"offset":99,"epoch":"x","node":"x","scope":"node","__proto__":{"x":1}}',
    )
    for (const client of [b, c]) {
      const [message] = (await fenceAcross(a, client)) as [Envelope]
      t.match(message, {
        type: 'message',
        room: 'r',
        content: { type: 'joined' },
        from: { client: a.id, user: 'a' },
      })
      t.same(new Set(Object.keys(message)), new Set(['type', 'room', 'content', 'from', 'at', 'offset']))
      t.not(message.offset, 99)
      t.ok(Math.abs(Number(message.at) - Date.now()) < 60_000)
    }
    await bothServe(t, b, c, [2, 2])
    await closeAll(a, b, c, d)
  },
)

t.test('a sender is left out by client, not by user or node', async (t) => {
  const [a, b, c] = await connectAbc()
  const twins = (await connectAll([one, 'a'], [two, 'a'])) as [Client, Client]
  for (const client of [a, b, c, ...twins]) await client.join('r')
  await a.publish('r', 'mine')
  t.same(await fenceAcross(a, a), [], 'not to the sender')
  for (const client of [b, c, ...twins])
    t.same(
      (await fenceAcross(a, client)).map(contentOf),
      ['mine'],
      'but to every other, its own user\u2019s too',
    )
  await twins[1].publish('r', 'echo', { echo: true })
  for (const client of [a, b, c, ...twins])
    t.same((await fenceAcross(twins[1], client)).map(contentOf), ['echo'], 'with echo to all')
  await closeAll(a, b, c, ...twins)
})

t.test('all members on both nodes see one order, whoever publishes where', async (t) => {
  const COUNT = 250
  const publishers = await connectAll([one, 'p0'], [one, 'p1'], [two, 'p2'], [two, 'p3'])
  const members = [...publishers, ...(await connectAll([one, 'm'], [two, 'm']))]
  const room = 'order'
  for (const member of members) await member.join(room)
  for (let n = 0; n < COUNT; n++) {
    for (const [p, publisher] of publishers.entries())
      publisher.send({ type: 'message', room, content: [p, n], echo: true })
  }
  const total = COUNT * publishers.length
  const seen = await Promise.all(
    members.map(async (member) => {
      const got = await member.collectUntil(({ offset }) => offset === total, 30_000)
      return got.filter(({ type }) => type === 'message').map((envelope) => member.text(envelope))
    }),
  )
  const [first = []] = seen
  t.equal(first.length, total)
  for (const texts of seen)
    t.ok(JSON.stringify(texts) === JSON.stringify(first), 'the same texts in one order')
  const messages = first.map((text) => JSON.parse(text) as { offset: number; content: [number, number] })
  t.ok(
    messages.every(({ offset }, i) => offset === i + 1),
    'the offsets rise by one',
  )
  for (const p of publishers.keys()) {
    const own = messages.filter(({ content }) => content[0] === p).map(({ content }) => content[1])
    t.ok(own.length === COUNT && own.every((n, i) => n === i), 'each publisher\u2019s own order is kept')
  }
  await closeAll(...members)
})

t.test('B32 a room named like an internal channel is a room, and no more', async (t) => {
  const [b, c] = (await connectAll([one, 'b'], [two, 'c'])) as [Client, Client]
  await b.join('x')
  await c.join('xyz')
  const counts = await watchChannels(t, redis)
  await b.publish('x', 'seen', { echo: true })
  await b.publish(undefined, 'seen', { echo: true })
  await pollUntil('channels of a room, of everybody and of the nodes', () => counts.size >= 3)
  const channels = [...counts.keys()]
  const prefix = 'roomcast:'
  t.ok(channels.every((channel) => channel.startsWith(prefix)))
  const nodesChannel = channels.find((channel) => channel.includes('nodes')) as string
  await fenceAcross(b, b)
  await fenceAcross(b, c)

  const keys = (await redis.command('KEYS', '*')) as string[]
  const names = [
    ...channels,
    ...keys.map((key) => key.slice(0, 128)),
    ...channels.map((channel) => channel.slice(prefix.length)),
    ...[
      'roomcast:',
      'roomcast',
      'roomcast:x',
      'roomcast:room:{x}',
      'room:{x}',
      '{x}',
      'x:y',
      ':y',
      'x:',
      '*',
    ],
    ...['x*', '?', '[a-z]', '[x]', '\\', 'hub', 'all', 'broadcast', 'everybody', 'everybody:{*}', 'nodes'],
    ...[
      'nodes:{nodes}',
      '{nodes}',
      '__keyspace@0__:*',
      '__sentinel__:hello',
      'x}',
      '{',
      '}{',
      '}',
      'X',
      'x ',
    ],
  ]
  const rooms = [...new Set(names)].filter((room) => room !== 'x' && room !== 'xyz')
  const [a, listener] = (await connectAll([one, 'a'], [two, 'l'])) as [Client, Client]
  for (const client of [a, listener]) {
    for (const room of rooms) t.match(await client.join(room), { type: 'joined', room }, room)
    t.match(await client.request({ type: 'join', room: '' }), { code: 'bad_room' })
  }
  const beats = () => counts.get(nodesChannel) ?? 0
  const before = beats()
  await pollUntil('two heartbeats of both nodes', () => beats() >= before + 4)
  t.same(await fenceAcross(b, a), [], 'no traffic of the nodes comes out of such a room')
  t.same(await fenceAcross(b, listener), [])
  for (const room of rooms) await a.publish(room, room)
  const got = await fenceAcross(a, listener)
  t.same(
    got.map(({ room, content }) => [room, content]),
    rooms.map((room) => [room, room]),
    'each room gets its own message, and nothing else',
  )
  t.same(await fenceAcross(a, b), [], 'nobody else gets anything')
  t.same(await fenceAcross(a, c), [])
  // Content that looks like what nodes tell each other, in a room that is called like their channel.
  await a.publish(nodesChannel, { node: 'evil', clients: 1_000 })
  await a.publish(nodesChannel, 'x 1\n{}')
  await fenceAcross(a, listener)
  t.match(await one.health(), { cluster: { nodes: 2 } }, 'nothing can be injected')
  await b.publish('x', 'only for x', { echo: true })
  t.same((await fenceAcross(b, b)).map(contentOf), ['only for x'])
  for (const client of [a, listener, c]) t.same(await fenceAcross(b, client), [])
  await closeAll(a, b, c, listener)
})

t.test('B32 deployments on one Redis: a prefix separates them, a database number does not', async (t) => {
  const other = (await startNodes(t, 1, { REDIS_URL: redis.url, REDIS_PREFIX: 'other:' }))[0] as Server
  // Prefixes that begin with each other.
  const longer = (
    await startNodes(t, 1, { REDIS_URL: redis.url, REDIS_PREFIX: 'roomcast:room:' })
  )[0] as Server
  const b = await connect(one, 'b')
  const strangers = [await connect(other, 'b'), await connect(longer, 'b')]
  for (const client of [b, ...strangers]) {
    t.match(await client.join('x'), { type: 'joined' })
    await client.join('room:{x}')
    await joinFence(client)
  }
  t.match(await b.publish('x', 'mine', { key: 'k', echo: true }), { scope: 'cluster' })
  await b.publish(undefined, 'to all', { echo: true })
  for (const stranger of strangers) {
    t.match(
      await stranger.publish('x', 'theirs', { key: 'k', echo: true }),
      { duplicate: undefined, offset: 1 },
      'no shared key',
    )
    await stranger.publish(undefined, 'to all theirs', { echo: true })
  }
  t.same((await fenceAcross(b, b)).map(contentOf), ['mine', 'to all'])
  for (const stranger of strangers)
    t.same((await fenceAcross(stranger, stranger)).map(contentOf), ['theirs', 'to all theirs'])
  t.match(
    [await one.health(), await other.health(), await longer.health()],
    [{ cluster: { nodes: 2 } }, { cluster: { nodes: 1 } }, { cluster: { nodes: 1 } }],
  )
  await Promise.all(strangers.map((stranger) => stranger.close()))
  await Promise.all([other.stop(), longer.stop()])

  // Another database: the same channels, so the same rooms. REDIS_PREFIX is documented with it.
  const secret = 'another-secret-another-secret-another-secret'
  const database = await startServer({ REDIS_URL: `${redis.url}/1` })
  const apart = await startServer({ REDIS_URL: `${redis.url}/1`, REDIS_PREFIX: 'apart:', JWT_SECRET: secret })
  t.teardown(() => Promise.all([database.stop(), apart.stop()]))
  await nodesAre(database, 3)
  await nodesAre(apart, 1)
  t.ok(/database numbers/.test(settings.shape.redisPrefix.description ?? ''), 'as documented')
  const e = await connect(database, 'e')
  const f = await connect(apart, 'f', {}, { token: tokenFor('f', {}, { key: secret }) })
  await joinFence(e, f)
  await b.publish(undefined, 'to all', { echo: true })
  t.same((await fenceAcross(b, e)).map(contentOf), ['to all'])
  t.same(await fenceAcross(f, f), [], 'with a prefix of its own it is apart')
  await Promise.all([e.close(), f.close()])
  await Promise.all([database.stop(), apart.stop()])
  await fenceAcross(b, b)
  await closeAll(b)
})

/** All arrived, and no join was of its node only. */
function allArrived(t: Test, name: string, { received, nodeScoped, faults }: Races, rounds: number): void {
  t.equal(received, rounds, `${name}: ${received} of ${rounds} arrived`)
  t.equal(nodeScoped, 0, 'every join held everywhere')
  t.same(faults, [])
}

t.test('B40 what another node sends the moment one has joined arrives', async (t) => {
  allArrived(t, 'one by one', await firstMessages(one, two, 300), 300)
  allArrived(t, 'the other way', await firstMessages(two, one, 100), 100)
  allArrived(t, 'twenty at a time', await firstMessages(one, two, 400, 20), 400)
  const stop = await pauseAgainAndAgain(redis, 30, 100)
  allArrived(t, 'with pauses', await firstMessages(one, two, 200, 10), 200)
  await stop()
  const relay = await TcpRelay.open(redis.port)
  relay.latencyMs = 25
  t.teardown(() => relay.close())
  const far = await startServer({ REDIS_URL: relay.url, MESSAGE_RATE: '0', CONNECT_RATE_MAX: '0' })
  t.teardown(() => far.stop())
  await nodesAre(far, 3)
  allArrived(t, '50 ms from Redis', await firstMessages(one, far, 200, 50), 200)
  allArrived(t, 'to one beside Redis', await firstMessages(far, one, 200, 50), 200)
  await far.stop()
})

t.test('B40 a join amid the end of the room\u2019s subscription', async (t) => {
  const [atOnce, atTheEnd] = await Promise.all([
    lastLeaveFirstJoin(one, two, { rooms: 300, fromMs: 0, toMs: 300 }),
    // Subscriptions of empty rooms linger for 2 s and are looked through every second.
    lastLeaveFirstJoin(two, one, { rooms: 300, fromMs: 1_800, toMs: 3_300 }),
  ])
  allArrived(t, 'at once', atOnce, 300)
  allArrived(t, 'as it is given back', atTheEnd, 300)
  await pollUntil('all channels are given back', async () => {
    const channels = (await redis.command('PUBSUB', 'CHANNELS', '*')) as string[]
    // Everybody's, the nodes', and each node's own.
    return channels.length === 4
  })
  await closeAll()
})

t.test('WORKERS: one port, nodes of their own, the dead replaced, all drained', async (t) => {
  const port = String(await freePort())
  const env = {
    REDIS_URL: redis.url,
    REDIS_PREFIX: 'workers:',
    WORKERS: '2',
    PORT: port,
    CONNECT_RATE_MAX: '0',
  }
  const server = await startServer(env)
  t.teardown(() => server.stop())
  const nodeOf = async () => {
    const { node } = await server.health()
    return String(node)
  }
  const nodes = new Set<string>()
  const bothOf = (count: number) =>
    pollUntil(
      `${count} nodes answer on the port`,
      async () => nodes.add(await nodeOf()).size === count,
      10_000,
    )
  await bothOf(2)
  await nodesAre(server, 2)

  const clients: Client[] = []
  for (let n = 0; n < 8; n++) clients.push(await connect(server, `u${n}`))
  const homes = new Map(clients.map((client) => [client, String(client.welcome.node)]))
  t.same(new Set(homes.values()), nodes, 'both get clients')
  for (const client of clients) await client.join('r')
  await clients[0]?.publish('r', 'hello', { echo: true })
  for (const client of clients) t.match(await client.next('message'), { content: 'hello' })

  // The one with client 0 dies, by kill -9.
  const [victim] = [...homes.values()] as [string]
  const listening = server.logs.find(({ msg, node }) => msg === 'listening' && node === victim)
  t.not(listening?.pid, server.pid, 'the workers are processes of their own')
  process.kill(Number(listening?.pid), 'SIGKILL')
  for (const [client, home] of homes) if (home === victim) await client.socket.ended()
  await server.log('the death is logged', ({ msg }) => /died/.test(String(msg)))
  nodes.delete(victim)
  await bothOf(2)
  t.notOk(nodes.has(victim), 'another took its place')
  const survivors = clients.filter((client) => homes.get(client) !== victim)
  const late: Client[] = []
  for (let n = 0; n < 8; n++) late.push(await connect(server, `v${n}`))
  t.same(new Set(late.map(({ welcome }) => welcome.node)), nodes, 'both get clients again')
  for (const client of late) await client.join('r')
  await survivors[0]?.publish('r', 'again', { echo: true })
  for (const client of [...survivors, ...late]) t.match(await client.next('message'), { content: 'again' })

  const told = [...survivors, ...late].map(async (client) => {
    t.match(await client.next('closing'), { reconnectInMs: Number })
    t.equal((await client.closed()).code, 1001)
  })
  const pids = server.logs.filter(({ msg }) => msg === 'listening').map(({ pid }) => Number(pid))
  t.equal(pids.length, 3)
  const startMs = performance.now()
  server.signal('SIGTERM')
  await Promise.all(told)
  t.same(await server.exited(), { code: 0, signal: null })
  t.ok(performance.now() - startMs < 11_000, 'within the grace and a second')
  for (const pid of pids) t.notOk(isRunning(pid), 'no worker is left')
  t.equal(server.stderr, '')
  for (const client of clients) client.socket.destroy()
})

t.test('WORKERS: a worker that cannot drain does not hold the end up', async (t) => {
  const env = { REDIS_URL: redis.url, REDIS_PREFIX: 'frozen:', WORKERS: '2', SHUTDOWN_GRACE_MS: '1000' }
  const server = await startServer({ ...env, PORT: String(await freePort()) })
  t.teardown(() => server.stop())
  await pollUntil('both listen', () => server.logs.filter(({ msg }) => msg === 'listening').length === 2)
  const pids = server.logs.filter(({ msg }) => msg === 'listening').map(({ pid }) => Number(pid))
  t.teardown(() => {
    for (const pid of pids) if (isRunning(pid)) process.kill(pid, 'SIGKILL')
  })
  process.kill(pids[0] as number, 'SIGSTOP')
  server.signal('SIGTERM')
  t.same(await server.exited(5_000), { code: 0, signal: null }, 'exit code 0 soon after SHUTDOWN_GRACE_MS')
  for (const pid of pids) await pollUntil('no worker is left', () => !isRunning(pid), 2_000)
})

t.test('WORKERS without REDIS_URL stop the start, and say why', async (t) => {
  const server = await startServer({ WORKERS: '2' }, { waitForReady: false })
  t.same(await server.exited(), { code: 1, signal: null })
  t.match(server.stderr, /WORKERS.*REDIS_URL/)
  t.same(server.stdout, [], 'nothing was started')
})

t.test('all of it leaves both nodes sound', async (t) => {
  for (const node of [one, two]) {
    const bad = node.logs.filter(({ level }) => Number(level) >= 40)
    t.same(
      bad.filter(({ msg }) => !/redis (does not answer|answers again)/.test(String(msg))),
      [],
      'no warning and no error, but of the pause of a whole second',
    )
    const up = node.logs.filter(({ msg }) => msg === 'redis is up').map(({ link }) => link)
    for (const link of ['publisher', 'subscriber'])
      t.ok(up.includes(link), `its log says that the ${link} is up`)
    t.same(await node.stop(), { code: 0, signal: null })
    t.equal(node.stderr, '')
  }
  for (const key of (await redis.command('KEYS', '*')) as string[]) {
    // -2: it has lapsed since.
    if ((await redis.command('PTTL', key)) === -1) t.fail(`${key} has no TTL`)
  }
})

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
