// Kinds of the 40 cases over an event stream, where WebSockets are blocked: a server that hangs, a page that wakes up.
import t, { type Test } from 'tap'
import { ending, World } from './support/world.ts'

/** One answer of `GET /sse`, which the test goes on with. */
interface Stream {
  url: URL
  isAborted(): boolean
  say(envelope: object): void
}

/** A hub of a page that has no WebSocket, and the streams that it opens; `post` answers what is published. */
function overStreams(t: Test, rooms: string[], post: (signal: AbortSignal) => Promise<Response>) {
  const world = new World()
  world.WebSocket = undefined
  const streams: Stream[] = []
  world.fetch = (async (address: string, { method, signal }: RequestInit) => {
    const url = new URL(address)
    if (method === 'POST') return post(signal as AbortSignal)
    const words = new TextEncoder()
    let out: ReadableStreamDefaultController<Uint8Array> | undefined
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        out = controller
      },
    })
    signal?.addEventListener('abort', () => out?.error(new Error('aborted')))
    const say = (envelope: object) => out?.enqueue(words.encode(`data: ${JSON.stringify(envelope)}\n\n`))
    streams.push({ url, say, isAborted: () => signal?.aborted === true })
    say({
      ...{ type: 'welcome', client: `s${streams.length}`, user: 'ada', node: 'n' },
      ...{ pingIntervalMs: 20_000, maxMessageBytes: 100_000 },
    })
    for (const room of url.searchParams.getAll('room'))
      say({
        type: 'joined',
        room,
        epoch: 'e',
        offset: 0,
        ...(url.searchParams.has('since') && { recovered: true }),
      })
    return new Response(body)
  }) as typeof fetch
  const hub = world.connect({ token: () => 'token' })
  t.teardown(() => hub.close())
  return { world, hub, streams, rooms: rooms.map((name) => hub.room(name)) }
}

const acked = async () => Response.json({ scope: 'cluster', offset: 1 })
const never = (signal: AbortSignal) =>
  new Promise<Response>((_, reject) => signal.addEventListener('abort', () => reject(new Error('aborted'))))

t.test('1 a page that wakes up keeps its stream, or has the next at once', async (t) => {
  const { world, hub, streams, rooms } = overStreams(t, ['r'], acked)
  await world.pass(1_000)
  t.match(hub.state, { name: 'open', transport: 'stream' })
  const states: string[] = []
  hub.on('state', ({ name }) => states.push(name))
  await world.pass(5_000)
  world.wake()
  await world.pass(4_000)
  t.notOk(states.includes('waiting'), 'a sound one is not cut')
  t.ok(rooms[0]?.isJoined)
  const { length } = streams
  await world.sleep(600_000)
  world.wake()
  await world.pass(100)
  t.equal(streams.length, length + 1, 'what slept is not trusted')
  await world.pass(4_000)
  t.notOk(states.includes('waiting'))
  t.ok(rooms[0]?.isJoined)
})

t.test('1 in a quiet room a stream stays: its comments are enough', async (t) => {
  const { world, hub, streams } = overStreams(t, ['r'], acked)
  await world.pass(100)
  const { length } = streams
  for (let n = 0; n < 10; n++) {
    await world.pass(20_000)
    streams.at(-1)?.say({ type: 'pong' })
  }
  t.equal(streams.length, length)
  t.equal(hub.state.name, 'open')
})

t.test('36 a publish that HTTP never answers is sent again, and what waits behind it goes on', async (t) => {
  const keys: number[] = []
  const { world, rooms } = overStreams(t, ['r'], (signal) => (keys.push(1) === 1 ? never(signal) : acked()))
  await world.pass(100)
  const said = [rooms[0]?.publish('first'), rooms[0]?.publish('second')]
  await world.pass(15_000)
  for (const one of said)
    t.match(await ending(world, one as Promise<unknown>), { value: { scope: 'cluster' } })
  t.equal(keys.length, 3)
})

t.test('23 close() while HTTP hangs leaves no timer and no request', async (t) => {
  let asked: AbortSignal | undefined
  const { world, hub, streams, rooms } = overStreams(t, ['r'], (signal) => {
    asked = signal
    return never(signal)
  })
  await world.pass(100)
  const said = rooms[0]?.publish('unanswered') as Promise<unknown>
  t.match(await ending(world, said), 'pending')
  hub.close()
  t.match(await ending(world, said), { code: 'closed', maybeDelivered: true })
  t.equal(asked?.aborted, true)
  t.ok(streams.every(({ isAborted }) => isAborted()))
  t.equal(world.timers.size, 0)
})

t.test('more rooms than a stream may have: the others go on', async (t) => {
  const names = Array.from({ length: 33 }, (_, n) => `r${n}`)
  const { world, hub, streams, rooms } = overStreams(t, names, acked)
  const left: string[] = []
  rooms[32]?.on('left', ({ code }) => left.push(code))
  await world.pass(1_000)
  t.equal(streams.at(-1)?.url.searchParams.getAll('room').length, 32)
  t.equal(rooms.filter(({ isJoined }) => isJoined).length, 32)
  t.strictSame(left, ['room_limit'])
  t.equal(hub.state.name, 'open')
})
