// Kinds of the 40 cases that are not in their words: what else a server, a provider, or a laptop’s lid may do to a connection.
import t from 'tap'
import { kindServer, World } from './support/world.ts'

t.test('16 a provider that rejects with nothing at all ends nothing for good', async (t) => {
  for (const reason of [undefined, null, 'words', { status: 500 }]) {
    const world = new World()
    let isGood = false
    const hub = world.connect({ token: () => (isGood ? 'good' : Promise.reject(reason)) })
    const faults: unknown[] = []
    hub.on('error', (error) => faults.push(error))
    await world.settle()
    t.match(hub.state, { name: 'waiting' }, String(reason))
    t.ok(faults[0] instanceof Error, 'listeners get an Error')
    isGood = true
    await world.pass(2_000)
    t.equal(world.sockets.length, 1)
    hub.close()
  }
})

t.test('23 close() while the provider hangs leaves no timer', async (t) => {
  const world = new World()
  const hub = world.connect({ token: () => new Promise<string>(() => {}) })
  await world.settle()
  hub.close()
  await world.settle()
  t.equal(world.timers.size, 0)
})

t.test('23 close() while plain HTTP is asked leaves no timer and no request', async (t) => {
  const world = new World()
  let signal: AbortSignal | null | undefined
  world.fetch = ((_: string, init?: RequestInit) => {
    signal = init?.signal
    return new Promise((_, reject) => signal?.addEventListener('abort', () => reject(new Error('aborted'))))
  }) as typeof fetch
  const hub = world.connect({ token: () => 'token' })
  await world.settle()
  world.socket.end()
  await world.settle()
  hub.close()
  await world.settle()
  t.equal(signal?.aborted, true)
  t.equal(world.timers.size, 0)
})

t.test('2 a page that slept while its token was fetched uses what comes', async (t) => {
  const world = new World()
  let give = (_: string) => {}
  const hub = world.connect({
    token: () =>
      new Promise<string>((resolve) => {
        give = resolve
      }),
  })
  const faults: Error[] = []
  hub.on('error', (error) => faults.push(error))
  await world.settle()
  await world.sleep(600_000)
  give('fetched')
  await world.settle()
  t.equal(world.sockets.length, 1)
  t.strictSame(faults, [], 'the late timer proves nothing')
  hub.close()
})

t.test('28 two drains in a row: each connection is made before the one of before is left', async (t) => {
  const world = new World()
  const play = kindServer()
  world.onSent = play
  const hub = await world.open()
  hub.room('r')
  await world.settle()
  const states: string[] = []
  hub.on('state', ({ name }) => states.push(name))
  const [first, second] = await world.drain()
  t.not(second, first)
  // It goes too, before the room has moved to it.
  world.onSent = (envelope, socket) => {
    if (envelope.type !== 'join' || socket !== second) play(envelope, socket)
  }
  second.accept()
  await world.settle()
  second.say({ type: 'closing', reconnectInMs: 100, handoverMs: 5_000 })
  play(second.of('join')[0] as never, second)
  await world.pass(150)
  const third = world.socket
  t.not(third, second)
  third.accept()
  await world.pass(100)
  for (const socket of [first, second]) t.equal(socket.closedWith, 1000)
  t.ok(hub.room('r').isJoined)
  t.strictSame(
    states.filter((name) => name !== 'open'),
    [],
  )
  hub.close()
})

t.test('28 when no other node takes it in, the state says so once the old one is gone', async (t) => {
  const world = new World()
  world.onSent = kindServer()
  const hub = await world.open({ token: () => 'token' })
  hub.room('r')
  await world.settle()
  world.fetch = (async () =>
    new Response('{}', { status: 503, headers: { 'retry-after': '30' } })) as typeof fetch
  const [old] = await world.drain()
  world.socket.end()
  await world.settle()
  t.match(hub.state, { name: 'open' })
  const { length } = world.sockets
  old.end(1001)
  await world.settle()
  const isTrying = world.sockets.length > length
  t.ok(isTrying || hub.state.name === 'waiting', `${hub.state.name}, and nothing is on its way`)
  world.wake()
  await world.settle()
  t.equal(world.sockets.length, length + 1)
  hub.close()
})

t.test('a server that says what is no envelope is passed over', async (t) => {
  const world = new World()
  world.onSent = kindServer()
  const hub = await world.open()
  const room = hub.room('r')
  const seen: unknown[] = []
  room.on('message', ({ content }) => seen.push(content))
  await world.settle()
  const { socket } = world
  for (const data of ['', '{', 'null', '5', '"text"', '[]', '{}', '{"type":"later"}', new ArrayBuffer(4)])
    t.doesNotThrow(() => socket.onmessage?.({ data }), String(data))
  socket.message('r', 1)
  t.strictSame(seen, [1])
  t.equal(hub.state.name, 'open')
  hub.close()
})

t.test('20 a connection without rooms that has lasted proves something too', async (t) => {
  const world = new World()
  const hub = await world.open({ token: () => 'token' })
  for (let n = 0; n < 8; n++) {
    await world.pass(3_600_000)
    world.socket.end()
    t.match(hub.state, { name: 'waiting', retryInMs: 75 }, `loss ${n}`)
    await world.pass(10_000)
    world.socket.accept()
  }
  hub.close()
})

t.test('an event stream was taken for a time: WebSockets are tried again', async (t) => {
  const world = new World()
  world.onSent = kindServer()
  world.fetch = ((url: string, init?: RequestInit) => {
    world.asked.push({ url, init })
    if (new URL(url).searchParams.get('last') === '0')
      return Promise.resolve(new Response('{}', { status: 400 }))
    return Promise.reject(new TypeError('no network'))
  }) as typeof fetch
  const hub = world.connect({ token: () => 'token' })
  for (let n = 0; n < 2; n++) {
    await world.settle()
    world.socket.end()
    await world.pass(1_500)
  }
  t.ok(
    world.asked.some(({ url }) => !url.includes('last=0')),
    'it is a stream now',
  )
  const { length } = world.sockets
  for (let n = 0; n < 3 && world.sockets.length === length; n++) {
    await world.pass(1_000)
    world.wake()
    await world.settle()
  }
  t.ok(world.sockets.length > length, 'another network may let them through')
  hub.close()
})

t.test('1 a handshake that died with the network is not waited for after waking', async (t) => {
  const world = new World()
  const hub = world.connect()
  await world.settle()
  await world.sleep(600_000)
  world.wake()
  await world.pass(4_000)
  t.equal(world.sockets[0]?.closedWith, 1000)
  t.equal(world.sockets.length, 2)
  await world.pass(9_700)
  t.equal(world.sockets[1]?.closedWith, undefined, 'nobody has slept: it has all its time')
  await world.pass(100)
  t.equal(world.sockets[1]?.closedWith, 1000)
  hub.close()
  t.equal(world.timers.size, 0)
})
