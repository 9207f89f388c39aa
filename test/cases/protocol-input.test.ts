// Cases of kind protocol-input: whatever a peer writes, before or after the upgrade.
import t from 'tap'
import { type Client, connect, type Envelope } from '../support/client.ts'
import { exchange, isRefusal } from '../support/exchange.ts'
import { closePayload, frame, hex, OPCODE, textFrame } from '../support/frames.ts'
import { RawSocket, upgradeRequest } from '../support/raw-socket.ts'
import { type Server, startServer } from '../support/server.ts'
import { clientsAre, stillServing } from '../support/still-serving.ts'
import { tokenFor } from '../support/token.ts'
import { pace, pollUntil } from '../support/until.ts'

const LIMIT = 524_288

let server: Server
t.before(async () => {
  server = await startServer({ MESSAGE_RATE: '0', CONNECT_RATE_MAX: '0' })
})
t.teardown(() => server.stop())

async function upgraded(to: Server = server): Promise<RawSocket> {
  const socket = await RawSocket.upgrade(to, `/ws?token=${tokenFor('raw')}`, { pong: false })
  await socket.frame('the welcome', ({ opcode }) => opcode === OPCODE.text)
  return socket
}

/** Sends one frame; everything that came of it, by the time a ping behind it is answered. */
async function outcomeOf(client: Client, text: string): Promise<Envelope[]> {
  client.send(text)
  return client.fence()
}

/** A test's name of `text`: a bare line separator in it would break the TAP output. */
function shown(text: string): string {
  return text
    .replaceAll(/[^\x20-\x7e]/gu, (char) => `\\u{${char.codePointAt(0)?.toString(16)}}`)
    .slice(0, 100)
}

async function closeAll(...clients: Client[]): Promise<void> {
  await Promise.all(clients.map((client) => client.close()))
  await clientsAre(server, 0, { rooms: 0 })
}

t.test(
  'B01 valid JSON that is not an object, or has no type of ours, is answered and nothing more',
  async (t) => {
    const [a, b] = [await connect(server, 'a'), await connect(server, 'b')]
    await b.join('r')
    const stimuli: [text: string, code: string][] = [
      ['null', 'bad_envelope'],
      ['true', 'bad_envelope'],
      ['5', 'bad_envelope'],
      ['"join"', 'bad_envelope'],
      ['[]', 'bad_envelope'],
      ['[{"type":"join","room":"r"}]', 'bad_envelope'],
      ['{}', 'bad_envelope'],
      ['{', 'bad_envelope'],
      ['', 'bad_envelope'],
      ['{"type":null}', 'bad_envelope'],
      ['{"type":1,"room":"r"}', 'bad_envelope'],
      ['{"type":["join"],"room":"r"}', 'bad_envelope'],
      ['{"type":{},"room":"r"}', 'bad_envelope'],
      ['{"type":"__proto__","room":"r"}', 'unknown_type'],
      ['{"type":"constructor","room":"r"}', 'unknown_type'],
      ['{"type":"toString"}', 'unknown_type'],
      ['{"type":"hasOwnProperty","room":"r"}', 'unknown_type'],
      ['{"type":"JOIN","room":"r"}', 'unknown_type'],
      ['\ufeff{"type":"join","room":"r"}', 'bad_envelope'],
      // More of the kind.
      ['{"type":"then","room":"r"}', 'unknown_type'],
      ['{"type":"","room":"r"}', 'unknown_type'],
      ['{"type":" join","room":"r"}', 'unknown_type'],
      ['{"type":"welcome"}', 'unknown_type'],
      ['{"type":"joined","room":"r"}', 'unknown_type'],
      ['{"type":"error"}', 'unknown_type'],
      ['{"__proto__":{"type":"join","room":"r"}}', 'bad_envelope'],
      ['{"type":"join","__proto__":{"room":"r"}}', 'bad_envelope'],
      ['{"type":"message","room":"r","__proto__":{"content":1}}', 'bad_envelope'],
      ['{"type":"join","room":"r"} {"type":"join","room":"r"}', 'bad_envelope'],
      ['{"type":"join","room":"r"}\n{"type":"join","room":"r"}', 'bad_envelope'],
      ['{"type":"join","room":"r",}', 'bad_envelope'],
      ["{'type':'join','room':'r'}", 'bad_envelope'],
      ['NaN', 'bad_envelope'],
      ['-', 'bad_envelope'],
      ['\u0000', 'bad_envelope'],
    ]
    for (const [text, code] of stimuli) {
      const got = await outcomeOf(a, text)
      t.match(got, [{ type: 'error', code, message: String }], shown(text))
      t.equal(got.length, 1, 'answered once')
    }
    t.match(
      await outcomeOf(a, '{"type":"join","room":"r","type":"leave"}'),
      [{ type: 'left', room: 'r' }],
      'the last of repeated keys counts',
    )
    t.match(await outcomeOf(a, '{"type":"join","room":"r"}'), [{ type: 'joined', room: 'r' }])
    t.same(await b.fence(), [], 'nothing of it reached the other client')

    for (const [text] of stimuli) {
      a.send(text)
      await pace(20)
    }
    t.equal((await a.fence()).length, stimuli.length, 'the same 20 ms apart')
    await stillServing(t, server, { bystander: b, open: 2 })
    await closeAll(a, b)
  },
)

t.test(
  'B01 ids: an error carries the id of its request, and an id of a wrong type is an error',
  async (t) => {
    const a = await connect(server, 'a')
    const good: unknown[] = ['x', 'x'.repeat(64), 0, -1, Number.MAX_SAFE_INTEGER, '__proto__', '5', 5]
    for (const id of good) {
      t.match(await outcomeOf(a, JSON.stringify({ type: 'nope', id })), [{ code: 'unknown_type', id }])
      t.match(await outcomeOf(a, JSON.stringify({ type: 'join', room: 5, id })), [
        { code: 'bad_envelope', id },
      ])
      t.match(await outcomeOf(a, JSON.stringify({ type: 'join', room: '', id })), [{ code: 'bad_room', id }])
      t.match(await outcomeOf(a, JSON.stringify({ type: 'message', id })), [{ code: 'bad_envelope', id }])
    }
    for (const id of [
      '""',
      `"${'x'.repeat(65)}"`,
      '1.5',
      '9007199254740992',
      '1e400',
      'null',
      'true',
      '[1]',
      '{}',
    ]) {
      const got = await outcomeOf(a, `{"type":"ping","id":${id}}`)
      t.match(got, [{ type: 'error', code: 'bad_envelope' }], `id ${id}`)
      t.equal(got.length, 1)
      t.notOk('id' in (got[0] as Envelope), 'a bad id is not echoed')
    }
    await closeAll(a)
  },
)

t.test('B02 nesting too deep is one error, wherever it is, and holds nobody up', async (t) => {
  const [a, b] = [await connect(server, 'a'), await connect(server, 'b')]
  await a.join('r')
  await b.join('r')
  const shapes: [name: string, make: (depth: number) => string, depths: number[]][] = [
    ['arrays', (depth) => '['.repeat(depth) + ']'.repeat(depth), [5_000, 9_000, 20_000, 250_000]],
    ['objects', (depth) => `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`, [5_000, 9_000, 20_000, 80_000]],
  ]
  const places: [name: string, make: (value: string) => string][] = [
    ['content of a room message', (value) => `{"type":"message","room":"r","content":${value}}`],
    ['content of a broadcast', (value) => `{"type":"message","content":${value}}`],
    ['room', (value) => `{"type":"message","room":${value},"content":1}`],
    ['an unknown key', (value) => `{"type":"message","room":"r","content":1,"extra":${value}}`],
    ['an unknown key of a join', (value) => `{"type":"join","room":"r","extra":${value}}`],
    ['type', (value) => `{"type":${value}}`],
    ['the whole frame', (value) => value],
  ]
  for (const [shape, make, depths] of shapes) {
    for (const [place, put] of places) {
      for (const depth of depths) {
        const text = put(make(depth))
        if (text.length > LIMIT) throw new Error('the stimulus is over the size limit')
        const startMs = performance.now()
        const [got, seen] = await Promise.all([outcomeOf(a, text), b.fence()])
        const name = `${depth} ${shape} in ${place}`
        t.match(got, [{ type: 'error', code: 'bad_envelope' }], name)
        t.equal(got.length, 1)
        t.same(seen, [])
        t.ok(performance.now() - startMs < 500, 'round trips below 500 ms')
      }
    }
  }
  t.same(await b.fence(), [], 'nothing was delivered')

  // Unfinished nesting is no JSON at all.
  t.match(await outcomeOf(a, '['.repeat(500_000)), [{ code: 'bad_envelope' }])
  t.match(await outcomeOf(a, `{"type":"message","room":"r","content":${'{"a":'.repeat(80_000)}`), [
    { code: 'bad_envelope' },
  ])

  const nested = '['.repeat(63) + ']'.repeat(63)
  await a.publish('r', 'brackets in a string: '.concat('['.repeat(1_000)))
  a.send(`{"type":"message","room":"r","content":${nested}}`)
  t.same(await a.fence(), [], 'up to the limit (64, the envelope included) it is content')
  const [text, deep] = await b.fence()
  t.ok(String(text?.content).endsWith('['))
  t.ok(b.text(deep as Envelope).includes(`"content":${nested}`))
  t.match(await outcomeOf(a, `{"type":"message","room":"r","content":[${nested}]}`), [
    { code: 'bad_envelope' },
  ])
  await stillServing(t, server, { bystander: b, open: 2 })
  await closeAll(a, b)
})

t.test('B03 frames that break RFC 6455 end in the right Close and the end of TCP', async (t) => {
  const b = await connect(server, 'b')
  await b.join('r')
  const invalidCodes = [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535]
  const stimuli: [name: string, bytes: Buffer, code: number][] = [
    ['1 unmasked text', hex('8102 6869'), 1002],
    ['2 RSV1', hex('c182 00000000 6869'), 1002],
    ['2 RSV2', hex('a182 00000000 6869'), 1002],
    ['2 RSV3', hex('9182 00000000 6869'), 1002],
    ['2 RSV1 on a ping', hex('c980 00000000'), 1002],
    ['3 reserved opcode 3', hex('8382 00000000 6869'), 1002],
    ['3 reserved opcode 7', hex('8782 00000000 6869'), 1002],
    ['4 reserved control opcode 11', hex('8b80 00000000'), 1002],
    ['4 reserved control opcode 15', hex('8f80 00000000'), 1002],
    ['5 ping of 126 bytes', Buffer.concat([hex('89fe007e 00000000'), Buffer.alloc(126, 'a')]), 1002],
    ['6 ping without FIN', hex('0981 00000000 61'), 1002],
    ['7 continuation of nothing', hex('0082 00000000 6869'), 1002],
    ['7 last continuation of nothing', hex('8082 00000000 6869'), 1002],
    ['8 new text inside a fragmented one', hex('0181 00000000 61 8181 00000000 62'), 1002],
    ['9 bad UTF-8', hex('8182 00000000 fffe'), 1007],
    ['9 UTF-8 cut short', hex('8181 00000000 ce'), 1007],
    ['9 bad UTF-8 over fragments', hex('0181 00000000 ce 8081 00000000 ce'), 1007],
    ['10 UTF-8-encoded surrogate', hex('8183 00000000 eda080'), 1007],
    ['11 close body of one byte', hex('8881 00000000 03'), 1002],
    ...invalidCodes.map((code): [string, Buffer, number] => [
      `12 close code ${code}`,
      frame(OPCODE.close, closePayload(code)),
      1002,
    ]),
    ['13 close reason of bad UTF-8', hex('8883 00000000 03e8 ff'), 1007],
    ['14 close of 126 bytes', Buffer.concat([hex('88fe007e 00000000 03e8'), Buffer.alloc(124, 'a')]), 1002],
    ['15 close without status', hex('8880 00000000'), 1005],
    ['15 close with 4000', frame(OPCODE.close, closePayload(4000, 'bye')), 4000],
    ['a binary frame', frame(OPCODE.binary, '{"type":"join","room":"r"}'), 1003],
    ['an empty binary frame', frame(OPCODE.binary), 1003],
  ]
  for (const [name, bytes, code] of stimuli) {
    const socket = await upgraded()
    socket.write(bytes)
    const close = await socket.close()
    t.equal(close.code, code, name)
    t.ok(close.payload.length <= 125, 'a legal control frame')
    // The server chose this one itself, and waits for the answer (2 s at most).
    if (code === 1003) socket.sendClose(code)
    await socket.ended()
    t.equal(socket.frames.length, 2, 'the welcome and the Close, nothing more')
    socket.destroy()
  }
  await clientsAre(server, 1)

  const late = await upgraded()
  late.write(Buffer.concat([hex('8882 00000000 03e8'), hex('8182 00000000 6869')]))
  t.equal((await late.close()).code, 1000, '16 the Close is echoed')
  await late.ended()
  t.equal(late.frames.length, 2, '16 the late frame is no message')
  late.destroy()

  const good = await upgraded()
  good.write(hex('0181 00000000 ce 8981 00000000 70 8081 00000000 ba'))
  const pong = await good.frame('a pong', ({ opcode }) => opcode === OPCODE.pong)
  t.same([pong.fin, pong.rsv, pong.masked, pong.payload.toString()], [true, 0, false, 'p'], '17 pong 8a0170')
  await good.frame('17 a reply to the text', ({ payload }) => payload.includes('bad_envelope'))
  good.write(frame(OPCODE.pong, 'unasked'))
  good.write(frame(OPCODE.ping))
  await good.frame('an empty pong', ({ opcode, payload }) => opcode === OPCODE.pong && payload.length === 0)
  good.sendClose()
  await good.ended()
  good.destroy()

  await clientsAre(server, 1)
  await stillServing(t, server, { bystander: b, open: 1 })
  await closeAll(b)
})

t.test('B03 (18) a Close or an error that might quote input stays a valid frame', async (t) => {
  const wide = '\u00e9'.repeat(200)
  const a = await connect(server, wide)
  t.match(await outcomeOf(a, JSON.stringify({ type: 'join', room: wide })), [
    { type: 'error', code: 'bad_room' },
  ])
  t.match(await outcomeOf(a, JSON.stringify({ type: wide })), [{ type: 'error', code: 'unknown_type' }])
  t.match(await outcomeOf(a, JSON.stringify({ type: 'leave', room: `${'\u00e9'.repeat(63)}x` })), [
    { type: 'left' },
  ])
  const isValid = ({ payload, reason }: { payload: Buffer; reason: string }, name: string) => {
    t.ok(payload.length <= 125, `${name}: reason of at most 123 bytes`)
    t.same(Buffer.from(reason), payload.subarray(2), `${name}: reason is UTF-8`)
  }
  a.send(`{"type":"join","room":"${'\u00e9'.repeat(300_000)}"}`)
  const tooLarge = await a.closed()
  t.match(tooLarge, { code: 1009, reason: 'message too big' })
  isValid(tooLarge, 'over the size limit')
  await a.socket.ended()

  const expiring = await connect(server, wide, { exp: Date.now() / 1000 + 0.7 })
  const expired = await expiring.closed()
  t.equal(expired.code, 4401)
  isValid(expired, 'expired')
  await expiring.socket.ended()

  const limited = await startServer({ MESSAGE_RATE: '5', MESSAGE_BURST: '5' })
  t.teardown(() => limited.stop())
  const noisy = await connect(limited, wide)
  let open = true
  const over = noisy.closed(20_000).finally(() => {
    open = false
  })
  while (open && !noisy.socket.end) {
    for (let i = 0; i < 50; i++) noisy.send({ type: 'join', room: `${wide}${i}` })
    await pace(20)
  }
  const kicked = await over
  t.equal(kicked.code, 4429)
  isValid(kicked, 'over the rate')
  await noisy.socket.ended()
  await clientsAre(limited, 0)
  await clientsAre(server, 0)
})

/** A message to r whose frame has exactly so many bytes. */
function messageOf(bytes: number, filler = 'a'): string {
  const empty = '{"type":"message","room":"r","content":""}'
  const room = bytes - empty.length
  const width = Buffer.byteLength(filler)
  const content = filler.repeat(Math.floor(room / width)) + 'a'.repeat(room % width)
  return empty.replace('""}', `"${content}"}`)
}

t.test('B04 the size limit counts bytes of a whole message, and equality passes', async (t) => {
  const b = await connect(server, 'b')
  await b.join('r')
  t.equal(b.welcome.maxMessageBytes, LIMIT, 'the welcome says so')
  for (const [bytes, filler] of [
    [LIMIT - 1, 'a'],
    [LIMIT, 'a'],
    [LIMIT, '\u20ac'],
    [LIMIT, '\ud83d\ude00'],
  ] as const) {
    const a = await connect(server, 'a')
    await a.join('r')
    const text = messageOf(bytes, filler)
    t.equal(Buffer.byteLength(text), bytes)
    a.send(text)
    t.same(await a.fence(), [], 'no complaint')
    const [message] = await b.fence()
    t.ok(message?.content === JSON.parse(text).content, `${bytes} bytes of ${shown(filler)} arrive whole`)
    await a.close()
  }
  const whole = textFrame(messageOf(LIMIT + 1))
  const body = Buffer.from(messageOf(LIMIT + 1))
  const parts = [
    frame(OPCODE.text, body.subarray(0, 300_000), { fin: false }),
    frame(OPCODE.continuation, body.subarray(300_000)),
  ]
  t.equal(body.length - 300_000, 224_289)
  const tooLarge: [name: string, bytes: Buffer][] = [
    ['one frame', whole],
    ['two fragments', Buffer.concat(parts)],
    ['a header that claims 1 MiB', hex('81ff 0000000000100000 00000000 61616161')],
    ['a header that claims one byte too many', hex('81ff 0000000000080001 00000000')],
    ['a header that claims 2^63', hex('81ff 8000000000000000 00000000')],
    ['a header that claims 2^53', hex('81ff 0020000000000000 00000000')],
  ]
  for (const [name, bytes] of tooLarge) {
    const socket = await upgraded()
    const fits = bytes.length < 100
    const before = server.rss()
    socket.write(textFrame('{"type":"join","room":"r"}'))
    await socket.frame('joined', ({ payload }) => payload.includes('"joined"'))
    socket.write(bytes)
    const how = await socket.ended()
    const close = await socket.close(1).catch(() => undefined)
    if (fits || close) t.equal(close?.code, 1009, `${name}: Close 1009`)
    else t.equal(how, 'reset', `${name}: a reset took the Close away`)
    if (fits) await pollUntil(`${name}: RSS rise < 2 MB`, () => server.rss() < before + 2_000_000)
    socket.destroy()
  }
  t.same(await b.fence(), [], 'nothing of it was delivered')
  await stillServing(t, server, { bystander: b, open: 1 })
  await closeAll(b)
})

t.test('B04 refused as soon as the sum of the fragments shows it', async (t) => {
  const socket = await upgraded()
  socket.write(frame(OPCODE.text, Buffer.alloc(300_000, 'a'), { fin: false }))
  socket.write(hex('80ff 0000000000036c21 00000000')) // the header of 224,289 bytes more, without them
  t.equal((await socket.close()).code, 1009)
  await socket.ended()
  socket.destroy()

  const small = await startServer({ MAX_MESSAGE_BYTES: '1000', MESSAGE_RATE: '0' })
  t.teardown(() => small.stop())
  const [a, b] = [await connect(small, 'a'), await connect(small, 'b')]
  t.equal(a.welcome.maxMessageBytes, 1000)
  await a.join('r')
  await b.join('r')
  a.send(messageOf(1000))
  t.same(await a.fence(), [])
  t.equal((await b.fence()).length, 1, 'relayed though the envelope to B is larger than the limit')
  a.send(messageOf(1001))
  t.equal((await a.closed()).code, 1009)
  t.same(await b.fence(), [])
  await b.close()
  await clientsAre(small, 0, { rooms: 0 })
})

t.test('B05 an unfinished message is bounded in fragments and in bytes', async (t) => {
  const b = await connect(server, 'b')
  await b.join('r')
  const oneByte = frame(OPCODE.continuation, 'a', { fin: false })
  const empty = frame(OPCODE.continuation, '', { fin: false })
  const first = frame(OPCODE.text, 'a', { fin: false })
  const many = (fragment: Buffer, count: number) => Buffer.concat([first, ...Array(count).fill(fragment)])

  const most = await upgraded()
  most.write(many(oneByte, 2_046))
  most.sendFrame(OPCODE.ping, 'still there')
  await most.frame('a pong inside the message', ({ opcode }) => opcode === OPCODE.pong)
  most.write(frame(OPCODE.continuation, 'a'))
  await most.frame('2,048 fragments are a message: one for every 256 bytes that it may have', ({ payload }) =>
    payload.includes('bad_envelope'),
  )
  most.sendClose()
  await most.ended()
  most.destroy()

  for (const [name, bytes] of [
    ['20,000 fragments of one byte', many(oneByte, 20_000)],
    ['20,000 empty fragments', many(empty, 20_000)],
    ['2,049 fragments', many(oneByte, 2_048)],
  ] as const) {
    const socket = await upgraded()
    const closed = socket.close()
    socket.write(bytes)
    t.equal((await closed).code, 1008, `${name}: Close 1008`)
    await socket.ended()
    socket.destroy()
  }

  // Warm up once, so that the growth measured is the fragments' own.
  for (const warm of await Promise.all(Array.from({ length: 50 }, () => upgraded()))) warm.destroy()
  await clientsAre(server, 1)
  const before = server.rss()
  const sockets = await Promise.all(Array.from({ length: 50 }, () => upgraded()))
  for (const socket of sockets) {
    socket.write(many(oneByte, 2_000))
    socket.sendFrame(OPCODE.ping)
  }
  for (const socket of sockets) await socket.frame('a pong', ({ opcode }) => opcode === OPCODE.pong)
  t.ok(server.rss() - before < 64 * 1024 * 1024, '50 unfinished messages grow RSS by less than 64 MB')
  const startMs = performance.now()
  await b.fence()
  t.ok(performance.now() - startMs < 250, 'others are served meanwhile')

  // The same connections, most of the size limit in few fragments: still only the limit each.
  for (const socket of sockets) socket.destroy()
  await clientsAre(server, 1)
  await pollUntil('RSS is back within 10 %', () => server.rss() < before * 1.1, 10_000)
  await stillServing(t, server, { bystander: b, open: 1 })
  await closeAll(b)
})

t.test('what MAX_MESSAGE_BYTES allows may come in fragments of a small write buffer', async (t) => {
  const large = await startServer({ MAX_MESSAGE_BYTES: String(8 * 1024 * 1024) })
  t.teardown(() => large.stop())
  for (const [to, bytes, buffer] of [
    [server, 500_000, 256],
    [large, 6_000_000, 4096],
  ] as const) {
    const socket = await upgraded(to)
    const text = Buffer.from(JSON.stringify({ type: 'ping', id: 1, pad: 'x'.repeat(bytes) }))
    const count = Math.ceil(text.length / buffer)
    const fragments = Array.from({ length: count }, (_, n) =>
      frame(n === 0 ? OPCODE.text : OPCODE.continuation, text.subarray(n * buffer, (n + 1) * buffer), {
        fin: n === count - 1,
      }),
    )
    socket.write(Buffer.concat(fragments))
    await socket.frame(`${bytes} bytes in ${count} fragments`, ({ payload }) => payload.includes('pong'))
    socket.destroy()
  }
})

t.test(
  'B05 frames of an unfinished message are in the rate budget, or end at the fragment limit',
  async (t) => {
    const limited = await startServer({ MESSAGE_RATE: '50', MESSAGE_BURST: '50' })
    t.teardown(() => limited.stop())
    const socket = await upgraded(limited)
    const closed = socket.close()
    socket.write(frame(OPCODE.text, 'a', { fin: false }))
    for (let i = 0; i < 200 && !socket.end; i++) {
      socket.write(Buffer.concat(Array(20).fill(frame(OPCODE.continuation, '', { fin: false }))))
      await pace(1)
    }
    t.match((await closed).code, /^(1008|4429)$/)
    await socket.ended()
    socket.destroy()
    await clientsAre(limited, 0)
  },
)

t.test('B07 content arrives as the sender wrote it, byte for byte', async (t) => {
  const [a, b] = [await connect(server, 'a'), await connect(server, 'b')]
  await a.join('r')
  await b.join('r')
  const contents = [
    '"\\ud83d"',
    '"\\ude00\\ud83d"',
    '"a\\u0000b"',
    '"\\u2028"',
    '"\u2028\u2029"',
    '9007199254740993',
    '1e400',
    '-1e400',
    '-0',
    '1.0',
    '1E+2',
    '0.1000000000000000055511151231257827',
    '{"__proto__":{"x":1},"constructor":1,"toString":null}',
    '{"a":1,"a":2}',
    'null',
    'false',
    '0',
    '""',
    '[]',
    '{}',
    '{ "b" : [ 1 ,\t2 ] , "a":\n{} }',
    '"\\/ \\" \\\\ \\u0041 }],\\"content\\":1"',
    '"\u{1f600}\u00e9"',
    '{"type":"joined","room":"x","from":{"user":"root"},"content":{"content":1}}',
  ]
  for (const content of contents) {
    for (const room of ['"room":"r",', '']) {
      a.send(`{"type":"message",${room}"content":${content}}`)
      t.same(await a.fence(), [])
      const got = await b.fence()
      t.equal(got.length, 1, shown(content))
      const [message] = got as [Envelope]
      const text = b.text(message)
      t.ok(text.includes(`"content":${content},`) || text.includes(`"content":${content}}`), shown(text))
      t.strictSame(message.content, JSON.parse(content), 'equal after parsing')
      const keys = ['at', 'content', 'from', 'type', ...(room ? ['room'] : [])]
      t.same(
        new Set(Object.keys(message).filter((key) => key !== 'offset')),
        new Set(keys),
        'no fields but the documented ones',
      )
      t.equal(Object.getPrototypeOf(message), Object.prototype)
    }
  }
  // Which of several contents counts is what JSON.parse would say: the last.
  for (const [text, content] of [
    ['{"content":1,"type":"message","room":"r","content":[2]}', '[2]'],
    ['{"type":"message","\\u0063ontent": "x" ,"room":"r"}', '"x"'],
    ['{"content":1,"type":"message","room":"r","cont\\u0065nt":3}', '3'],
    ['{"type":"message","room":"r","x":{"content":1},"content":2,"y":"\\"content\\":9"}', '2'],
    [' \t\n{ "type" : "message" , "room" : "r" , "content" : 1.0 } \r\n', '1.0'],
  ] as const) {
    a.send(text)
    t.same(await a.fence(), [], shown(text))
    const [message] = (await b.fence()) as [Envelope]
    t.ok(b.text(message).includes(`"content":${content},`), shown(b.text(message)))
  }
  for (const text of [
    '{"type":"message","room":"r"}',
    '{"type":"message"}',
    '{"type":"message","room":"r","Content":1}',
    '{"type":"message","room":"r","content":}',
    '{"type":"message","room":"r","content":NaN}',
    '{"type":"message","room":"r","content":undefined}',
    '{"type":"message","room":"r","content":"\t"}',
  ]) {
    t.match(await outcomeOf(a, text), [{ type: 'error', code: 'bad_envelope' }], shown(text))
  }
  t.same(await b.fence(), [])
  await a.publish('r', 'ordinary')
  const [ordinary] = (await b.fence()) as [Envelope]
  t.same(ordinary.from, { client: a.id, user: 'a' })
  t.equal((ordinary as Record<string, unknown>).x, undefined, 'nothing was polluted')
  await stillServing(t, server, { bystander: b, open: 2 })
  await closeAll(a, b)
})

t.test('B09 a room is a string, never converted, trimmed, folded or normalised', async (t) => {
  const [a, b] = [await connect(server, 'a'), await connect(server, 'b')]
  for (const room of ['5', 'true', 'x', 'null', '\u00e9', '[object Object]', 'x,y', '5.0', 'undefined']) {
    await b.join(room)
  }
  const notStrings = [
    '5',
    '5.0',
    'true',
    'null',
    '["x"]',
    '["x","y"]',
    '{}',
    '{"toString":1}',
    '0',
    'false',
    '[]',
  ]
  for (const room of notStrings) {
    for (const text of [
      `{"type":"join","room":${room}}`,
      `{"type":"message","room":${room},"content":1}`,
      `{"type":"leave","room":${room}}`,
    ]) {
      const got = await outcomeOf(a, text)
      t.match(got, [{ type: 'error', code: 'bad_envelope' }], shown(text))
      t.equal(got.length, 1)
    }
    t.same(await b.fence(), [], `B gets nothing by ${room}`)
  }
  for (const type of ['join', 'leave']) {
    t.match(await outcomeOf(a, `{"type":"${type}"}`), [{ code: 'bad_envelope' }], `${type} without room`)
  }
  for (const room of [
    '',
    'a\u0000b',
    '\n',
    'x\u007f',
    '\u0085',
    '\u009f',
    '\ud83d',
    'x\udc00',
    'a'.repeat(129),
    '\u00e9'.repeat(65),
    '\u{1f600}'.repeat(33),
  ]) {
    for (const envelope of [
      { type: 'join', room },
      { type: 'message', room, content: 1 },
      { type: 'leave', room },
    ]) {
      const got = await outcomeOf(a, JSON.stringify(envelope))
      t.match(got, [{ type: 'error', code: 'bad_room' }], shown(JSON.stringify(envelope)))
      t.equal(got.length, 1)
    }
    t.same(await b.fence(), [], 'not a broadcast')
  }
  const owns = [
    ' ',
    'x ',
    ' x',
    'X',
    'e\u0301',
    '\u00a0x',
    'x\u200b',
    '\ufeffx',
    'NULL',
    '05',
    'a'.repeat(128),
  ]
  for (const room of [...owns, '\u00e9'.repeat(64), '\u{1f600}'.repeat(32), '\u2028', '../x', '%78', 'x/']) {
    t.match(await a.join(room), { type: 'joined', room }, 'the reply echoes the room as accepted')
    t.match(await a.publish(room, 1), { type: 'ack' })
    t.same(await b.fence(), [], `${shown(room)} is a room of its own`)
    t.match(await a.publish(room, 2, { echo: true }), { type: 'ack' })
    t.match(await a.fence(), [{ type: 'message', room, content: 2 }])
    t.match(await a.leave(room), { type: 'left', room })
  }
  await stillServing(t, server, { bystander: b, room: 'x', open: 2 })
  await closeAll(a, b)
})

t.test('B10 every odd request is refused with 4xx and the end of TCP, and only /ws upgrades', async (t) => {
  const token = tokenFor('a')
  const good = `/ws?token=${token}`
  const refusals: [name: string, bytes: string, status: number | RegExp, code?: string][] = [
    ['//[]/ws', upgradeRequest(`//[]/ws?token=${token}`), /^4/],
    ['/ws/', upgradeRequest(`/ws/?token=${token}`), 404],
    ['//ws', upgradeRequest(`//ws?token=${token}`), 404],
    ['/WS', upgradeRequest(`/WS?token=${token}`), 404],
    ['/%77s', upgradeRequest(`/%77s?token=${token}`), 404],
    ['/wsx', upgradeRequest(`/wsx?token=${token}`), 404],
    ['ws://localhost/ws', upgradeRequest(`ws://localhost/ws?token=${token}`), 404],
    ['http://a:b@localhost/ws', upgradeRequest(`http://a:b@localhost/ws?token=${token}`), 404],
    ['http://localhost/%77s', upgradeRequest(`http://localhost/%77s?token=${token}`), 404],
    ['http://localhost/wsx', upgradeRequest(`http://localhost/wsx?token=${token}`), 404],
    ['/ws/../health', upgradeRequest(`/ws/../health?token=${token}`), 404],
    ['/w%zzs', upgradeRequest(`/w%zzs?token=${token}`), /^4/],
    ['/ws%', upgradeRequest(`/ws%?token=${token}`), /^4/],
    ['/ws?token=%zz', upgradeRequest('/ws?token=%zz'), /^4/],
    ['/', upgradeRequest(`/?token=${token}`), 404],
    ['/health', upgradeRequest(`/health?token=${token}`), 404],
    ['/ws;x', upgradeRequest(`/ws;token=${token}`), /^4/],
    ['*', upgradeRequest('*'), /^4/],
    ['an over-long path', upgradeRequest(`/${'a'.repeat(5000)}?token=${token}`), 404],
    ['Host with a space', upgradeRequest(good, { replace: { host: 'a b' } }), 400],
    ['no Host', upgradeRequest(good, { replace: { host: null } }), 400],
    ['two Hosts', upgradeRequest(good, { lines: ['Host: other'] }), 400],
    [
      'no version',
      upgradeRequest(good, { replace: { 'sec-websocket-version': null } }),
      /^(400|426)$/,
      'bad_upgrade',
    ],
    ['version 8', upgradeRequest(good, { replace: { 'sec-websocket-version': '8' } }), 426, 'bad_upgrade'],
    ['version 12', upgradeRequest(good, { replace: { 'sec-websocket-version': '12' } }), 426, 'bad_upgrade'],
    [
      'version 013',
      upgradeRequest(good, { replace: { 'sec-websocket-version': '013' } }),
      /^(400|426)$/,
      'bad_upgrade',
    ],
    [
      'two versions',
      upgradeRequest(good, { lines: ['Sec-WebSocket-Version: 8'] }),
      /^(400|426)$/,
      'bad_upgrade',
    ],
    ['no key', upgradeRequest(good, { replace: { 'sec-websocket-key': null } }), 400, 'bad_upgrade'],
    ['key "test"', upgradeRequest(good, { replace: { 'sec-websocket-key': 'test' } }), 400, 'bad_upgrade'],
    [
      'two keys',
      upgradeRequest(good, { lines: ['Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=='] }),
      400,
      'bad_upgrade',
    ],
    ['h2c', upgradeRequest(good, { replace: { upgrade: 'h2c' } }), /^(400|426)$/, 'bad_upgrade'],
    ['x-websocket', upgradeRequest(good, { replace: { upgrade: 'x-websocket' } }), 426, 'bad_upgrade'],
    ['websocket/13', upgradeRequest(good, { replace: { upgrade: 'websocket/13' } }), 426, 'bad_upgrade'],
    ['a body', upgradeRequest(good, { lines: ['Content-Length: 1'] }), 400, 'bad_upgrade'],
    [
      'empty protocols only',
      upgradeRequest(good, { lines: ['Sec-WebSocket-Protocol: ,'] }),
      400,
      'bad_upgrade',
    ],
    ['no Upgrade', upgradeRequest(good, { replace: { upgrade: null } }), /^(400|426)$/, 'bad_upgrade'],
    [
      'websocket and h2c',
      upgradeRequest(good, { replace: { upgrade: 'h2c, foo' } }),
      /^(400|426)$/,
      'bad_upgrade',
    ],
    ['no Connection', upgradeRequest(good, { replace: { connection: null } }), /^(400|426)$/, 'bad_upgrade'],
    ['no protocol', upgradeRequest(good, { lines: ['Sec-WebSocket-Protocol: a b'] }), 400, 'bad_upgrade'],
    ['/%2fws', upgradeRequest(`/%2fws?token=${token}`), 404],
    ['/x/../ws', upgradeRequest(`/x/../ws?token=${token}`), 404],
    ['/ws%00', upgradeRequest(`/ws%00?token=${token}`), 404],
    [
      'two lengths',
      `${upgradeRequest(good, { lines: ['Transfer-Encoding: chunked', 'Content-Length: 5'] })}0\r\n\r\n`,
      400,
    ],
    ['POST', upgradeRequest(good, { method: 'POST' }), /^4/],
    ['POST with a body', `${upgradeRequest(good, { method: 'POST', lines: ['Content-Length: 2'] })}hi`, /^4/],
    ['PUT', upgradeRequest(good, { method: 'PUT' }), /^4/],
    ['OPTIONS', upgradeRequest(good, { method: 'OPTIONS' }), /^4/],
    ['HEAD', upgradeRequest(good, { method: 'HEAD' }), /^4/],
    ['HTTP/1.0', upgradeRequest(good, { version: 'HTTP/1.0' }), /^(400|426)$/, 'bad_upgrade'],
    ['HTTP/0.9', `GET ${good}\r\n\r\n`, /^4/],
    ['HTTP/2.0', upgradeRequest(good, { version: 'HTTP/2.0' }), /^4/],
    ['no HTTP', '\u0016\u0003\u0001\u0002\u0000\u0001\u0000\u0001\u00fc\u0003\u0003\r\n\r\n', 400],
    [
      '2,500 headers',
      upgradeRequest(good, { lines: Array.from({ length: 2500 }, (_, i) => `X-${i}: 1`) }),
      431,
    ],
    ['a token of 20 KB', upgradeRequest(`/ws?token=${'a'.repeat(20_000)}`), 431],
    [
      'a header of 20 KB',
      upgradeRequest(good, { lines: [`Authorization: Bearer ${'a'.repeat(20_000)}`] }),
      431,
    ],
    ['a plain GET', `GET ${good} HTTP/1.1\r\nHost: localhost\r\n\r\n`, 426, 'bad_upgrade'],
    ['a plain GET without token', 'GET /ws HTTP/1.1\r\nHost: localhost\r\n\r\n', 426, 'bad_upgrade'],
  ]
  for (const [name, bytes, status, code] of refusals) {
    await t.test(`B10 refused: ${name}`, async (t) => {
      const result = await exchange(server, bytes)
      const expected = typeof status === 'number' ? new RegExp(`^${status}$`) : status
      t.match(String(result.response.status), expected, `status ${result.response.status}`)
      if (code) isRefusal(t, result, result.response.status, code, token)
      t.notOk(`${result.response.head}${result.response.body}`.includes(token), 'the token is not repeated')
    })
  }
  const pipelined = await RawSocket.open(server)
  let answers = ''
  pipelined.tcp.prependListener('data', (chunk) => {
    answers += chunk.toString('latin1')
  })
  pipelined.write(`GET /health HTTP/1.1\r\nHost: a\r\n\r\n${upgradeRequest(good)}`)
  await pipelined.until('a welcome', () => answers.includes('"welcome"'))
  t.match(answers, /^HTTP\/1\.1 200 .*"healthy".*HTTP\/1\.1 101 /s, 'an upgrade behind a request is taken')
  pipelined.destroy()
  const tunnel = await RawSocket.open(server)
  tunnel.write(upgradeRequest(good, { method: 'CONNECT' }))
  await tunnel.ended()
  t.not(tunnel.response?.status, 101, 'CONNECT is no way in')
  tunnel.destroy()
  await clientsAre(server, 0)

  const legit: [name: string, target: string, replace: Record<string, string>][] = [
    ['plain', good, {}],
    ['Connection: keep-alive, Upgrade', good, { connection: 'keep-alive, Upgrade' }],
    ['lower-case values', good, { connection: 'upgrade', upgrade: 'WebSocket' }],
    ['upper-case values', good, { connection: 'UPGRADE', upgrade: 'WEBSOCKET' }],
    ['other query fields', `/ws?x=1&token=${token}&y=%zz`, {}],
    ['lists with empty elements', good, { connection: ',, keep-alive ,\tUPGRADE, ', upgrade: ',websocket,' }],
    ['other protocols beside it', good, { upgrade: 'h2c, WebSocket' }],
    ['a body of length zero', good, { upgrade: 'websocket\r\nContent-Length: 00' }],
    ['the absolute form', `http://any.example${good}`, {}],
    ['the absolute form, https and a port', `HTTPS://[::1]:80${good}`, {}],
  ]
  for (const [name, target, replace] of legit) {
    const socket = await RawSocket.upgrade(server, target, { replace })
    t.equal(socket.response?.status, 101, name)
    await socket.frame('the welcome', ({ payload }) => payload.includes('"welcome"'))
    socket.sendClose()
    await socket.ended()
    socket.destroy()
  }
  const lower = await RawSocket.open(server)
  lower.write(upgradeRequest(good).replace(/^[\w-]+:/gm, (name) => name.toLowerCase()))
  t.equal((await lower.answer()).status, 101, 'lower-case names')
  lower.destroy()

  const offers = ['permessage-deflate; client_max_window_bits', ';;,__proto__=1', 'x-unknown']
  for (const offer of offers) {
    const socket = await RawSocket.upgrade(server, good, { lines: [`Sec-WebSocket-Extensions: ${offer}`] })
    t.equal(
      socket.response?.headers['sec-websocket-extensions'],
      undefined,
      `no extension is taken: ${offer}`,
    )
    socket.writeHex('c182 00000000 6869')
    await socket.ended()
    socket.destroy()
  }

  const reused = await RawSocket.open(server)
  let read = ''
  // Ahead of the socket's own listener, which wakes whoever waits: the 101 and the welcome come in one piece.
  reused.tcp.prependListener('data', (chunk) => {
    read += chunk.toString('latin1')
  })
  reused.write('GET /health HTTP/1.1\r\nHost: a\r\n\r\n')
  await reused.answer()
  reused.write(upgradeRequest(good))
  await reused.until('101 on a connection that was used before', () => read.includes('HTTP/1.1 101 '))
  reused.destroy()

  const early = await RawSocket.open(server)
  early.write(Buffer.concat([Buffer.from(upgradeRequest(good)), textFrame('{"type":"ping","id":1}')]))
  await early.frame('the frame in the request\u2019s own segment is answered', ({ payload }) =>
    payload.includes('"pong"'),
  )
  early.destroy()
  await clientsAre(server, 0)
  await stillServing(t, server, { open: 0 })
})

t.test('a body that nobody wants is not waited for', async (t) => {
  for (const type of ['application/json', 'text/plain', 'image/png']) {
    const socket = await RawSocket.open(server)
    socket.write(`POST /x HTTP/1.1\r\nHost: a\r\nContent-Type: ${type}\r\nContent-Length: 1000000\r\n\r\n{`)
    t.equal((await socket.answer()).status, 404)
    await socket.ended()
    socket.destroy()
  }
})

t.test('an upgrade to another protocol is ignored, as HTTP wants it', async (t) => {
  const lines = ['HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA']
  const replace = { connection: 'Upgrade, HTTP2-Settings, close', upgrade: 'h2c' }
  const { response } = await exchange(server, upgradeRequest('/health', { replace, lines }))
  t.match(response, { status: 200, headers: { connection: 'close' } })
  t.match(JSON.parse(response.body), { status: 'healthy' })
})

t.test('B10 a request cut short, stalled or reset leaves nothing behind', async (t) => {
  const quick = await startServer({ HANDSHAKE_TIMEOUT_MS: '500', CONNECT_RATE_MAX: '0' })
  t.teardown(() => quick.stop())
  const whole = upgradeRequest(`/ws?token=${tokenFor('a')}`)
  await stillServing(t, quick, { open: 0 })
  const before = quick.fds()
  const startMs = performance.now()
  const stalled: RawSocket[] = []
  for (const bytes of [
    '',
    'G',
    whole.slice(0, 50),
    whole.slice(0, -2),
    'POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx',
  ]) {
    const socket = await RawSocket.open(quick)
    socket.write(bytes)
    stalled.push(socket)
  }
  for (const [i, socket] of stalled.entries()) {
    const left = Math.max(1, 10_000 - (performance.now() - startMs))
    const how = await socket.ended(left).catch(() => undefined)
    t.ok(how, `stalled handshake ${i} is cut within 10 s`)
  }
  for (const socket of stalled) socket.destroy()

  for (let i = 0; i < 50; i++) {
    const socket = await RawSocket.open(quick)
    await socket.flush(i % 2 ? whole : whole.slice(0, 60))
    if (i % 4 < 2) socket.reset()
    else socket.destroy()
  }
  await clientsAre(quick, 0, { rooms: 0 })
  await pollUntil('descriptors are back', () => quick.fds() <= before, 5_000)
  await stillServing(t, quick, { open: 0 })
})

t.test('the whole of it ends with a clean exit', async (t) => {
  const { code } = await server.stop()
  t.equal(code, 0)
  t.equal(server.stderr, '')
  const errors = server.logs.filter(({ level }) => Number(level) >= 50)
  t.same(errors, [], 'no input of a peer is an error of the server')
})
