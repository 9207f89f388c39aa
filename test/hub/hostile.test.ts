// What one client may ask for with few bytes, and what is left of clients that do not play their part in the end.
import t, { type Test } from 'tap'
import { connect } from '../support/client.ts'
import { closePayload, type Frame, frame, OPCODE, textFrame } from '../support/frames.ts'
import { BUFFER_SLACK } from '../support/memory-slack.ts'
import { RawSocket } from '../support/raw-socket.ts'
import { type Env, type Server, startServer } from '../support/server.ts'
import { clientsAre } from '../support/still-serving.ts'
import { tokenFor } from '../support/token.ts'
import { pollUntil } from '../support/until.ts'

const MB = 1024 * 1024
const request = (envelope: object) => textFrame(JSON.stringify(envelope))
const join = request({ type: 'join', room: 'r', id: 'j' })
const history = request({ type: 'history', room: 'r', id: 'h' })

async function serverFor(t: Test, env: Env = {}): Promise<Server> {
  const server = await startServer({ CONNECT_RATE_MAX: '0', ...env })
  t.teardown(() => server.stop())
  return server
}

/** A room with a megabyte of history. */
async function fill(server: Server): Promise<void> {
  const a = await connect(server, 'a')
  await a.join('r')
  for (let n = 0; n < 2; n++) await a.publish('r', 'x'.repeat(500_000))
  await a.close()
}

function parse({ opcode, payload }: Frame): { type?: string } {
  return opcode === OPCODE.text ? (JSON.parse(payload.toString()) as { type?: string }) : {}
}

/** A member of the room that does not read until it is resumed. */
async function pausedMember(server: Server): Promise<RawSocket> {
  const socket = await RawSocket.upgrade(server, `/ws?token=${tokenFor('b')}`)
  socket.write(join)
  await socket.frame('joined', (one) => parse(one).type === 'joined')
  socket.pause()
  return socket
}

t.test('three hundred histories asked for at once are answered one by one', async (t) => {
  const server = await serverFor(t)
  await fill(server)
  const socket = await RawSocket.upgrade(server, `/ws?token=${tokenFor('b')}`, { record: false })
  let answers = 0
  socket.onFrame = (one) => {
    if (one.opcode === OPCODE.text && one.payload.subarray(0, 17).toString() === '{"type":"history"')
      answers++
  }
  const before = server.rss()
  let peak = 0
  const sampler = setInterval(() => {
    peak = Math.max(peak, server.rss())
  }, 5)
  t.teardown(() => clearInterval(sampler))
  socket.write(Buffer.concat([join, ...Array(300).fill(history)]))
  await socket.until(
    () => `300 answers, not ${answers}`,
    () => answers === 300,
    30_000,
  )
  t.ok(peak - before < 100 * MB + BUFFER_SLACK, `RSS grew by ${Math.round((peak - before) / MB)} MiB`)
  socket.destroy()
})

t.test('a client that is ended is gone, whether it reads or not', async (t) => {
  const server = await serverFor(t)
  await fill(server)
  const fds = server.fds()
  const ends: [string, (socket: RawSocket) => void][] = [
    [
      'binary behind histories',
      (socket) => socket.write(Buffer.concat([...Array(30).fill(history), frame(OPCODE.binary, 'x')])),
    ],
    [
      'a FIN, and then too slow',
      (socket) => {
        socket.write(Buffer.concat(Array(30).fill(history)))
        socket.finish()
      },
    ],
  ]
  for (const [name, end] of ends) {
    const socket = await RawSocket.upgrade(server, `/ws?token=${tokenFor('b')}`)
    socket.write(join)
    await socket.frame('joined', (one) => parse(one).type === 'joined')
    socket.pause()
    end(socket)
    const a = await connect(server, 'a')
    await a.join('r')
    await pollUntil(
      `${name}: its descriptor is given back`,
      async () => {
        await a.publish('r', 'y'.repeat(400_000))
        return server.fds() <= fds + 1
      },
      10_000,
    )
    await a.close()
    socket.destroy()
    await clientsAre(server, 0)
    t.pass(name)
  }
})

t.test('a Close from the peer is answered between messages, not within one', async (t) => {
  const server = await serverFor(t, { OUTBOX_MAX_BYTES: String(64 * MB) })
  const a = await connect(server, 'a')
  await a.join('r')
  const socket = await pausedMember(server)
  for (let n = 0; n < 40; n++) await a.publish('r', `${n} ${'x'.repeat(400_000)}`)
  socket.sendFrame(OPCODE.close, closePayload(1000))
  await clientsAre(server, 1)
  socket.resume()
  const close = await socket.close(10_000)
  t.equal(close.code, 1000)
  for (const one of socket.frames.filter(({ opcode }) => opcode === OPCODE.text))
    t.match(parse(one), { type: String })
  t.equal(socket.frames.at(-1)?.opcode, OPCODE.close, 'nothing follows it')
  await a.close()
})

t.test('join, message and Close in one segment: the message reaches the room', async (t) => {
  const server = await serverFor(t)
  const a = await connect(server, 'a')
  await a.join('r')
  const socket = await RawSocket.upgrade(server, `/ws?token=${tokenFor('b')}`)
  socket.write(
    Buffer.concat([
      join,
      request({ type: 'message', room: 'r', content: 'bye' }),
      frame(OPCODE.close, closePayload(1000)),
    ]),
  )
  t.match(await a.next('message'), { content: 'bye', from: { user: 'b' } })
  t.equal((await socket.close()).code, 1000)
  await a.close()
})

t.test('requests and a Close in one segment leave no room behind, and nothing of them is lost', async (t) => {
  const server = await serverFor(t)
  const a = await connect(server, 'a')
  await a.join('r')
  for (let round = 0; round < 20; round++) {
    const socket = await RawSocket.upgrade(server, `/ws?token=${tokenFor(`b${round}`)}`)
    socket.write(
      Buffer.concat([
        join,
        request({ type: 'message', room: 'r', content: round }),
        ...Array.from({ length: 50 }, (_, n) => request({ type: 'join', room: `ghost-${round}-${n}` })),
        request({ type: 'message', room: 'r', content: 'last' }),
        // Every other one ends with what is no frame at all.
        round % 2 === 0 ? frame(OPCODE.close, closePayload(1000)) : Buffer.from([0xff, 0xff]),
      ]),
    )
    t.match(await a.next('message'), { content: round })
    t.match(await a.next('message'), { content: 'last' })
    await socket.ended()
    socket.destroy()
  }
  await clientsAre(server, 1, { rooms: 1 })
  await a.close()
})

t.test('a Close of the peer during a drain does not get into the middle of a message', async (t) => {
  const server = await serverFor(t, { SHUTDOWN_GRACE_MS: '5000', OUTBOX_MAX_BYTES: String(64 * MB) })
  const a = await connect(server, 'a')
  await a.join('r')
  const socket = await pausedMember(server)
  // More than the kernel takes, less than an outbox.
  for (let n = 0; n < 60; n++) await a.publish('r', 'x'.repeat(400_000))
  server.signal('SIGTERM')
  t.equal((await a.closed()).code, 1001)
  socket.write(frame(OPCODE.close, closePayload(1000)))
  socket.resume()
  const { code } = await socket.close(5_000)
  t.equal(code, 1000)
  t.ok(socket.frames.every(({ opcode }) => [OPCODE.text, OPCODE.close].includes(opcode as never)))
  socket.destroy()
})

t.test('a frame that comes in single bytes is ended before it costs much', async (t) => {
  const server = await serverFor(t)
  const socket = await RawSocket.upgrade(server, `/ws?token=${tokenFor('b')}`)
  socket.tcp.setNoDelay(true)
  socket.write(Buffer.from('81ff00000000000800000000000000', 'hex'))
  for (let n = 0; n < 10_000 && socket.end === undefined; n++) {
    await socket.flush(Buffer.alloc(1))
    // So that each byte is a segment, and a read, of its own.
    if (n % 8 === 0) await server.health()
  }
  t.equal((await socket.close()).code, 1008)
  socket.destroy()
})

t.test('SLOW_CLIENT=drop never makes a hole in a recovery', async (t) => {
  const server = await serverFor(t, { SLOW_CLIENT: 'drop', OUTBOX_MAX_BYTES: '65536', MESSAGE_RATE: '0' })
  const a = await connect(server, 'a')
  await a.join('r')
  await a.join('flood')
  const { epoch, offset } = await a.request({ type: 'join', room: 'r' })
  for (let n = 0; n < 5; n++) await a.publish('r', n)
  const socket = await RawSocket.upgrade(server, `/ws?token=${tokenFor('b')}`)
  socket.write(request({ type: 'join', room: 'flood', id: 'f' }))
  await socket.frame('joined', (one) => parse(one).type === 'joined')
  socket.pause()
  for (let n = 0; n < 100; n++) await a.publish('flood', 'x'.repeat(100_000))
  socket.write(request({ type: 'join', room: 'r', id: 'j', since: { epoch, offset } }))
  await a.publish('flood', 'behind the join')
  socket.resume()
  await socket.frame('the recovered ones', ({ payload }) => payload.includes('"content":4,'), 10_000)
  const got = socket.frames.map(({ payload }) => payload.toString())
  const at = got.findIndex((text) => text.includes('"recovered":true'))
  t.ok(at >= 0)
  t.same(
    got.slice(at + 1, at + 6).map((text) => (JSON.parse(text) as { content: unknown }).content),
    [0, 1, 2, 3, 4],
    'all five right behind it',
  )
  socket.destroy()
  await a.close()
})
