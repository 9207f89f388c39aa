// Cases of kind lifecycle: from the first byte after the 101 to a peer that vanishes.
import t, { type Test } from 'tap'
import { type Client, connect, type Envelope } from '../support/client.ts'
import { OPCODE, textFrame } from '../support/frames.ts'
import { Network } from '../support/network.ts'
import { type Address, RawSocket, upgradeRequest } from '../support/raw-socket.ts'
import { type Server, startServer } from '../support/server.ts'
import { clientsAre, stillServing } from '../support/still-serving.ts'
import { tokenFor } from '../support/token.ts'
import { pace, pollUntil } from '../support/until.ts'

const PING_MS = 400
const PONG_MS = 800
/** A silent peer is gone by then. */
const GONE_MS = PING_MS + PONG_MS + 1_000

let server: Server
let beating: Server
t.before(async () => {
  const free = { MESSAGE_RATE: '0', CONNECT_RATE_MAX: '0' }
  const heartbeat = { PING_INTERVAL_MS: String(PING_MS), PONG_TIMEOUT_MS: String(PONG_MS) }
  ;[server, beating] = await Promise.all([
    startServer({ ...free, OUTBOX_MAX_BYTES: '268435456' }),
    startServer({ ...free, ...heartbeat }),
  ])
})
t.teardown(() => Promise.all([server.stop(), beating.stop()]))

const joinText = '{"type":"join","room":"r","id":"j"}'
const messageText = '{"type":"message","room":"r","content":1,"echo":true}'

function envelopes(socket: RawSocket): Envelope[] {
  return socket.frames
    .filter(({ opcode }) => opcode === OPCODE.text)
    .map(({ payload }) => JSON.parse(payload.toString()) as Envelope)
}

async function fenced(socket: RawSocket): Promise<Envelope[]> {
  socket.sendText('{"type":"ping","id":"fence"}')
  await socket.frame('the pong', ({ payload }) => payload.includes('"fence"'))
  return envelopes(socket).filter(({ type }) => type !== 'welcome' && type !== 'pong')
}

t.test('B17 frames that come with the handshake, or right behind it, are all taken', async (t) => {
  const request = Buffer.from(upgradeRequest(`/ws?token=${tokenFor('a')}`))
  const frames = Buffer.concat([textFrame(joinText), textFrame(messageText)])
  const both = Buffer.concat([request, frames])
  const cuts: [name: string, cut: number][] = [
    ['in one write', both.length],
    ['after one byte of the frame', request.length + 1],
    ['in the middle of the first frame', request.length + 20],
    ['between the frames', request.length + textFrame(joinText).length],
    ['before the last byte', both.length - 1],
    ['right behind the request', request.length],
    ['before the last byte of the request', request.length - 1],
    ['in the middle of the request', 100],
  ]
  for (const [name, cut] of cuts) {
    const socket = await RawSocket.open(server)
    socket.write(both.subarray(0, cut))
    if (cut < both.length) {
      await pace(50)
      socket.write(both.subarray(cut))
    }
    const got = await fenced(socket)
    t.match(
      got,
      [
        { type: 'joined', room: 'r', id: 'j' },
        { type: 'message', content: 1 },
      ],
      name,
    )
    t.equal(got.length, 2, 'each once')
    t.equal(envelopes(socket)[0]?.type, 'welcome', 'behind the welcome')
    socket.destroy()
    await clientsAre(server, 0, { rooms: 0 })
  }
  const bytewise = await RawSocket.open(server)
  for (const byte of both) bytewise.write(Buffer.from([byte]))
  t.equal((await fenced(bytewise)).length, 2, 'byte by byte')
  bytewise.destroy()

  const flood = await RawSocket.open(server)
  flood.write(Buffer.concat([request, ...Array(1_000).fill(textFrame(joinText))]))
  t.equal((await fenced(flood)).length, 1_000, '1,000 joins with the request are 1,000 replies')
  flood.destroy()
  await clientsAre(server, 0, { rooms: 0 })
})

t.test('B17 a bad token with an early join: no joined, no room', async (t) => {
  for (const token of ['bad', tokenFor('a', { exp: 1 })]) {
    const socket = await RawSocket.open(server)
    socket.write(Buffer.concat([Buffer.from(upgradeRequest(`/ws?token=${token}`)), textFrame(joinText)]))
    t.equal((await socket.answer()).status, 401)
    await socket.ended()
    t.notMatch(socket.response?.body, 'joined')
    socket.destroy()
    t.match(await server.health(), { clients: 0, rooms: 0 })
  }
})

t.test('B17 2,000 clients that join the moment they are open: 2,000 joined', async (t) => {
  const token = tokenFor('a')
  const one = async (index: number) => {
    const socket = await RawSocket.open(server)
    socket.write(upgradeRequest(`/ws?token=${token}`))
    await socket.answer()
    socket.sendText(`{"type":"join","room":"r-${index}"}`)
    const got = await fenced(socket)
    if (got.length !== 1 || got[0]?.type !== 'joined') t.fail(`client ${index}: ${JSON.stringify(got)}`)
    socket.sendClose()
    await socket.ended()
    socket.destroy()
    return got.length
  }
  let joined = 0
  for (let i = 0; i < 2_000; i += 100) {
    const counts = await Promise.all(Array.from({ length: 100 }, (_, j) => one(i + j)))
    joined += counts.reduce((sum, count) => sum + count, 0)
  }
  t.equal(joined, 2_000)
  await clientsAre(server, 0, { rooms: 0 })
})

t.test('B19 a client that goes while others send to it costs nobody else anything', async (t) => {
  const b = await connect(server, 'b')
  await b.join('r')
  const token = tokenFor('a')
  const goings: ((a: Client) => void)[] = [
    (a) => a.socket.sendClose(1000),
    (a) => a.socket.reset(),
    (a) => a.socket.finish(),
    (a) => a.socket.writeHex('8102 6869'),
    (a) => a.socket.writeHex('8882 00000000 03e8 8182 00000000 6869'),
    (a) => {
      a.send('{"type":"join","room":"r2"}')
      a.socket.reset()
    },
    (a) => {
      a.send('{"type":"leave","room":"r"}')
      a.socket.sendClose(1001)
      a.socket.finish()
    },
    (a) => {
      a.say('r', 'my last words')
      a.socket.destroy()
    },
  ]
  for (let round = 0; round < 600; round++) {
    const a = await connect(server, 'a', {}, { token })
    await a.join('r')
    const go = goings[round % goings.length] as (a: Client) => void
    if (round % 2) b.say('r', round)
    go(a)
    if (!(round % 2)) b.say('r', round)
    b.say(undefined, round)
    if (round % 50 === 49) await b.fence()
  }
  await stillServing(t, server, { bystander: b, open: 1 })
  t.equal((await server.health()).rooms, 1)
  const bad = server.logs.filter(({ level }) => Number(level) >= 40)
  t.same(bad, [], 'no warning and no error: it is all in a day\u2019s work')
  await b.close()
})

t.test('B22 requests of one client are carried out, answered and delivered in order', async (t) => {
  const [a, b] = [await connect(server, 'a'), await connect(server, 'b')]
  await b.join('r')
  const message = (n: number, pad = '') => ({ type: 'message', room: 'r', content: pad ? { n, pad } : { n } })
  for (const [name, padOf] of [
    ['small', () => ''],
    ['10 B and 400 KB by turns', (n: number) => (n % 2 ? '' : 'x'.repeat(400_000))],
  ] as const) {
    const requests: Envelope[] = [
      { type: 'join', room: 'r', id: 'first' },
      ...Array.from({ length: 500 }, (_, i) => message(i + 1, padOf(i + 1))),
      { type: 'leave', room: 'r', id: 'second' },
      { ...message(501), id: 'third' },
      { type: 'join', room: 'r', id: 'fourth' },
      message(502),
      { type: 'leave', room: 'r', id: 'fifth' },
    ]
    a.socket.write(Buffer.concat(requests.map((request) => textFrame(JSON.stringify(request)))))
    const replies = await a.collectUntil(({ id }) => id === 'fifth', 30_000)
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
    const got = await b.fence(30_000)
    const numbers = got.map(({ content }) => (content as { n: number }).n)
    t.same(numbers, [...Array.from({ length: 500 }, (_, i) => i + 1), 502], `${name}: 1 to 500, then 502`)
  }

  const pairs = Array.from({ length: 1_000 }, (_, i) => [
    { type: 'join', room: 'r', id: 2 * i },
    { type: 'leave', room: 'r', id: 2 * i + 1 },
  ]).flat()
  a.socket.write(Buffer.concat(pairs.map((request) => textFrame(JSON.stringify(request)))))
  const replies = await a.fence()
  const wrong = replies.findIndex(({ type, id }, i) => id !== i || type !== (i % 2 ? 'left' : 'joined'))
  t.equal(replies.length, 2_000)
  t.equal(wrong, -1, '1,000 pairs of join and leave are answered in order')
  await b.publish('r', 'after')
  t.same(await a.fence(), [], 'the last one was a leave')
  a.socket.write(Buffer.concat(pairs.slice(0, -1).map((request) => textFrame(JSON.stringify(request)))))
  await a.fence()
  await b.publish('r', 'again')
  t.match(await a.fence(), [{ content: 'again' }], 'the last one was a join')
  await stillServing(t, server, { bystander: b, open: 2 })
  await a.close()
  await b.close()
  await clientsAre(server, 0, { rooms: 0 })
})

/** The server's last word to this socket was no Close. */
function wasDestroyed(t: Test, socket: RawSocket, name: string): void {
  t.notOk(
    socket.frames.some(({ opcode }) => opcode === OPCODE.close),
    `${name}: destroyed, not politely closed`,
  )
}

/** Does `step` again and again until `outcome` is there; resolves with its error, if it is one. */
async function whileWaiting(outcome: Promise<void>, step: () => unknown): Promise<unknown> {
  let waiting = true
  const error = outcome
    .then(
      () => undefined,
      (reason: unknown) => reason,
    )
    .finally(() => {
      waiting = false
    })
  while (waiting) await step()
  return error
}

/** A client that joined `rooms`, with its raw frames kept and its own way to treat pings. */
async function silentPeer(address: Address, user: string, rooms: string[], pong = true): Promise<RawSocket> {
  const socket = await RawSocket.upgrade(address, `/ws?token=${tokenFor(user)}`, { pong })
  for (const room of rooms) socket.sendText(JSON.stringify({ type: 'join', room }))
  await fenced(socket)
  return socket
}

t.test('B21 (c) a stopped peer, whose kernel still answers, is removed and destroyed', async (t) => {
  const b = await connect(beating, 'b')
  await b.join('busy')
  const idle = await silentPeer(beating, 'idle', ['idle'])
  idle.pause()
  const stoppedMs = performance.now()
  await clientsAre(beating, 1, { rooms: 1, deadlineMs: GONE_MS })
  t.pass(`idle room: gone after ${Math.round(performance.now() - stoppedMs)} ms`)
  idle.resume()
  await idle.ended()
  wasDestroyed(t, idle, 'idle room')
  idle.destroy()

  const busy = await silentPeer(beating, 'busy', ['busy', 'own'])
  busy.pause()
  const gone = clientsAre(beating, 1, { rooms: 1, deadlineMs: GONE_MS })
  const fault = await whileWaiting(gone, () => {
    b.say('busy', 'x'.repeat(1_000))
    return pace(50)
  })
  t.equal(fault, undefined, 'busy room: what the kernel takes is no sign of life')
  busy.resume()
  await busy.ended()
  wasDestroyed(t, busy, 'busy room')
  busy.destroy()
  await b.close()
})

t.test('B21 (d, e) a peer that answers pings stays, and so does one that sends anything else', async (t) => {
  const quiet = await silentPeer(beating, 'quiet', ['r'])
  const talker = await silentPeer(beating, 'talker', ['r'], false)
  let pings = 0
  talker.onFrame = ({ opcode }) => {
    if (opcode === OPCODE.ping) {
      pings++
      talker.sendText('{"type":"ping"}')
    }
  }
  await talker.until('8 pings', () => pings >= 8, 20 * (PING_MS + PONG_MS))
  t.ok(quiet.frames.filter(({ opcode }) => opcode === OPCODE.ping).length >= 7, 'both were pinged')
  t.match(await beating.health(), { clients: 2 })
  t.same([quiet.end, talker.end], [undefined, undefined], 'both are still there')
  for (const { payload } of quiet.frames.filter(({ opcode }) => opcode === OPCODE.ping)) {
    if (payload.length > 125) t.fail('a ping of more than 125 bytes')
  }
  quiet.destroy()
  talker.destroy()
  await clientsAre(beating, 0, { rooms: 0 })
})

const skip = Network.isAllowed() ? false : 'needs root and iproute2'

t.test('B21 the link is cut without a sign', { skip }, async (t) => {
  const network = Network.open()
  if (!network) throw new Error('no network namespace')
  t.teardown(() => network.close())
  const inside = await startServer(
    {
      HOST: '0.0.0.0',
      PING_INTERVAL_MS: String(PING_MS),
      PONG_TIMEOUT_MS: String(PONG_MS),
      MESSAGE_RATE: '0',
      CONNECT_RATE_MAX: '0',
    },
    { prefix: network.prefix, host: network.steady },
  )
  t.teardown(() => inside.stop())
  const beyond = { host: network.cuttable, port: inside.port, tls: inside.tls }
  const b = await connect(inside, 'b')
  await b.join('busy')
  const before = inside.fds()

  await t.test('B21 (a, b, g) idle and busy rooms; the same user is back meanwhile', async (t) => {
    const idle = await silentPeer(beyond, 'idle', ['idle'])
    const busy = await silentPeer(beyond, 'busy', ['busy'])
    network.cut()
    const cutMs = performance.now()
    const back = await connect(inside, 'idle')
    await back.join('idle')
    await back.join('busy')
    t.equal((await inside.health()).clients, 4, 'the dead and the living coexist')
    let said = 0
    const gone = clientsAre(inside, 2, { rooms: 2, deadlineMs: GONE_MS - (performance.now() - cutMs) })
    const fault = await whileWaiting(gone, () => {
      b.say('busy', { n: said++, pad: 'x'.repeat(1_000) })
      return pace(50)
    })
    t.equal(fault, undefined, 'both are gone in time')
    await b.fence()
    const got = await back.fence()
    t.equal(got.length, said, 'the living one of the user gets everything, and stays')
    await pollUntil('descriptors are back', () => inside.fds() <= before + 1)
    network.heal()
    for (const socket of [idle, busy]) {
      socket.sendText('{"type":"ping"}')
      await socket.ended(20_000)
      wasDestroyed(t, socket, 'after the link is back')
      socket.destroy()
    }
    await back.close()
    await clientsAre(inside, 1)
  })

  await t.test('B21 (f) 200 at once, and the others do not feel it', async (t) => {
    const peers: RawSocket[] = []
    while (peers.length < 200) {
      const some = Array.from({ length: 20 }, (_, i) => {
        const name = `u${peers.length + i}`
        return silentPeer(beyond, name, ['busy', name])
      })
      peers.push(...(await Promise.all(some)))
    }
    await clientsAre(inside, 201, { rooms: 201 })
    let slowestMs = 0
    const roundTrip = async () => {
      const startMs = performance.now()
      b.say('busy', 'x'.repeat(1_000))
      await b.fence()
      slowestMs = Math.max(slowestMs, performance.now() - startMs)
      await pace(10)
    }
    for (let i = 0; i < 30; i++) await roundTrip()
    const usualMs = slowestMs
    slowestMs = 0
    network.cut()
    const gone = clientsAre(inside, 1, { rooms: 1, deadlineMs: GONE_MS })
    t.equal(await whileWaiting(gone, roundTrip), undefined, 'all 200 are gone in time')
    t.ok(slowestMs - usualMs < 250, `others wait less than 250 ms more (${Math.round(slowestMs)} ms)`)
    await pollUntil('descriptors are back', () => inside.fds() <= before)
    for (const socket of peers) socket.destroy()
    network.heal()
  })
  await b.close()
  await clientsAre(inside, 0, { rooms: 0 })
  t.equal(inside.stderr, '')
})

t.test('one user may hold many clients, and none displaces another', async (t) => {
  const clients = await Promise.all(Array.from({ length: 5 }, () => connect(server, 'same')))
  t.equal(new Set(clients.map(({ id }) => id)).size, 5, 'each has an id of its own')
  for (const client of clients) {
    t.equal(client.received[0]?.type, 'welcome', 'the first frame is the welcome')
    t.equal(client.received.length, 1)
    t.match(client.welcome, { user: 'same', node: String, pingIntervalMs: 25_000, maxMessageBytes: 524_288 })
    await client.join('r')
  }
  await clients[0]?.publish('r', 'hi')
  for (const client of clients.slice(1)) t.match(await client.fence(), [{ content: 'hi' }])
  await clients[1]?.close()
  await clientsAre(server, 4, { rooms: 1 })
  for (const client of clients) await client.close()
  await clientsAre(server, 0, { rooms: 0 })
})

t.test('all of it leaves the processes sound', async (t) => {
  for (const one of [server, beating]) {
    t.equal((await one.stop()).code, 0)
    t.equal(one.stderr, '')
  }
})
