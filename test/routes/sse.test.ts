// GET /sse: what a client over HTTP gets. That a browser's EventSource comes back by itself is in browser/page.test.ts.
import { type AddressInfo, createConnection, type Socket } from 'node:net'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import roomcast from '../../src/app.ts'
import { decodePositions, encodePositions } from '../../src/protocol/positions.ts'
import { connect } from '../support/client.ts'
import { EventStream } from '../support/event-stream.ts'
import { type Env, type Server, startServer } from '../support/server.ts'
import { nowS, SECRET, tokenFor } from '../support/token.ts'
import { pollUntil } from '../support/until.ts'

async function serverFor(t: Test, env: Env = {}): Promise<Server> {
  const server = await startServer(env)
  t.teardown(() => server.stop())
  return server
}

function open(t: Test, { host, port }: Server, query: string, headers: Record<string, string> = {}) {
  const stream = new EventStream(`http://${host}:${port}/sse?token=${tokenFor('reader')}${query}`, headers)
  t.teardown(() => stream.close())
  return stream
}

t.test('streams', async (t) => {
  const server = await serverFor(t, { PING_INTERVAL_MS: '100', ALLOWED_ORIGINS: 'https://page.example' })
  const writer = await connect(server, 'writer')
  for (const room of ['a', 'b', 'c']) await writer.join(room)

  await t.test('a reader gets its rooms, and what is said in them, as events', async (t) => {
    const stream = open(t, server, '&room=a&room=b', { origin: 'https://page.example' })
    t.match((await stream.next('welcome')).data, { type: 'welcome', user: 'reader' })
    t.match((await stream.next('joined')).data, { room: 'a', offset: 0 })
    t.match((await stream.next('joined')).data, { room: 'b', offset: 0 })
    writer.socket.sendText('{"type":"message","room":"a","content":{"n":\n1,\r\n"big":9007199254740993}}')
    const { data, id } = await stream.next('message')
    t.match(data, { room: 'a', offset: 1, from: { user: 'writer' }, content: { n: 1 } })
    t.ok(id, 'which stands for the positions of both rooms')
    writer.send({ type: 'message', content: 'to all' })
    t.match((await stream.next('message')).data, { content: 'to all' })
    t.equal(stream.lastId, id, 'what has no offset moves nothing')
    t.match(stream, {
      status: 200,
      headers: { 'content-type': 'text/event-stream', 'access-control-allow-origin': 'https://page.example' },
      retryMs: Number,
    })
    t.notOk('transfer-encoding' in stream.headers)
    await stream.until('comments come', () => stream.comments.length >= 2)
  })

  await t.test('with its last id a reader gets what it has missed, and then goes on', async (t) => {
    const first = open(t, server, '&room=b&room=c')
    await first.next('joined')
    await first.next('joined')
    writer.say('b', 'seen')
    const { id = '' } = await first.next('message')
    first.close()
    await first.ended()
    writer.say('b', 'missed 1')
    writer.say('c', 'missed 2')
    await writer.request({ type: 'ping' })
    for (const how of ['header', 'query']) {
      const second =
        how === 'header'
          ? open(t, server, '&room=b&room=c', { 'last-event-id': id })
          : open(t, server, `&room=b&room=c&since=${id}`)
      t.match((await second.next('joined')).data, { room: 'b', recovered: true, missed: 1 })
      t.match((await second.next('joined')).data, { room: 'c', recovered: true, missed: 1 })
      const missed = [await second.next('message'), await second.next('message')]
      t.match(missed, [{ data: { content: 'missed 1' } }, { data: { content: 'missed 2' } }])
      t.not(missed[0]?.id, missed[1]?.id)
      writer.send({ type: 'message', content: how })
      t.match((await second.next('message')).data, { content: how })
      second.close()
      await second.ended()
    }
  })

  await t.test('a lost position is told, and so is a room that may not be joined', async (t) => {
    const since = encodePositions([['a', { epoch: 'gone', offset: 3 }]])
    const stream = open(t, server, `&room=a&since=${since}`)
    t.match((await stream.next('joined')).data, { room: 'a', recovered: false })
    const narrow = new EventStream(`http://${server.host}:${server.port}/sse?room=a&room=b`, {
      authorization: `Bearer ${tokenFor('narrow', { can: { join: ['b'] } })}`,
    })
    t.teardown(() => narrow.close())
    t.match((await narrow.next('error')).data, { code: 'forbidden', room: 'a' })
    t.match((await narrow.next('joined')).data, { room: 'b' })
  })

  await t.test('an id has the positions of its own rooms alone', async (t) => {
    const others = Array.from({ length: 100 }, (_, n) => [`other ${n}`, { epoch: 'e', offset: 1 }] as const)
    const stream = open(t, server, `&room=a&since=${encodePositions(others)}`)
    await stream.next('joined')
    writer.say('a', 'hello')
    const { id } = await stream.next('message')
    t.strictSame([...(decodePositions(id)?.keys() ?? [])], ['a'])
  })

  await t.test('what was said last comes first, where it is asked for', async (t) => {
    await writer.publish('a', 'the last but one')
    await writer.publish('a', 'the last')
    const stream = open(t, server, '&room=a&last=2')
    t.match((await stream.next('joined')).data, { room: 'a', missed: 2 })
    t.match(
      [await stream.next('message'), await stream.next('message')],
      [{ data: { content: 'the last but one' } }, { data: { content: 'the last' } }],
    )
  })

  await t.test('refusals are those of /ws', async (t) => {
    const url = `http://${server.host}:${server.port}/sse`
    const valid = tokenFor('reader')
    const rooms = Array.from({ length: 33 }, (_, n) => `room=${n}`).join('&')
    const long = Array.from({ length: 32 }, (_, n) => `room=${'\u00e4'.repeat(60)}${n}`).join('&')
    for (const [query, headers, status, error] of [
      ['', {}, 401, 'unauthorized'],
      ['?token=x', {}, 401, 'unauthorized'],
      [`?token=${valid}`, { origin: 'https://other.example' }, 403, 'origin_refused'],
      [`?token=${valid}`, { accept: 'application/json' }, 406, 'bad_upgrade'],
      [`?token=${valid}&${rooms}`, {}, 400, 'bad_request'],
      [`?token=${valid}&${long}`, {}, 400, 'bad_request'],
      [`?token=${valid}&room=`, {}, 400, 'bad_request'],
    ] as const) {
      const stream = new EventStream(url + query, headers)
      await stream.ended()
      t.equal(stream.status, status, query.slice(0, 20))
      t.match(JSON.parse(stream.body), { error })
    }
  })

  await t.test('an id that cannot be read is a position lost', async (t) => {
    const stream = open(t, server, '&room=a', { 'last-event-id': 'what?' })
    t.match((await stream.next('joined')).data, { room: 'a', recovered: false })
  })

  await t.test('a stream behind another request of its connection is refused', async (t) => {
    const socket = createConnection(server.port, server.host)
    t.teardown(() => socket.destroy())
    let text = ''
    socket.setEncoding('utf8').on('data', (more: string) => {
      text += more
    })
    const head = (path: string) => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`
    socket.write(head('/health') + head(`/sse?room=a&token=${tokenFor('reader')}`))
    await pollUntil('both are answered', () => text.includes('a connection of its own'))
    t.match(text, /^HTTP\/1.1 200 [\s\S]*HTTP\/1.1 400 /)
    t.equal((await server.health()).code, 200)
  })

  await t.test('a reader that goes is no client any more', async (t) => {
    const before = (await server.health()).clients
    const stream = open(t, server, '&room=a')
    await stream.next('joined')
    t.equal((await server.health()).clients, before + 1)
    stream.close()
    await pollUntil('it is gone', async () => (await server.health()).clients === before, 5000)
  })
})

t.test('who is cut before what it asked for has come, gets it when it comes back', async (t) => {
  const server = await serverFor(t)
  const writer = await connect(server, 'writer')
  await writer.join('a')
  for (const n of [1, 2, 3]) await writer.publish('a', n)
  const stream = open(t, server, '&room=a&last=2')
  t.match(await stream.next('joined'), {
    data: { offset: 3, missed: 2 },
    id: encodePositions(
      new Map([
        ['a', { epoch: String((await writer.request({ type: 'join', room: 'a' })).epoch), offset: 1 }],
      ]),
    ),
  })
  t.match((await stream.next('message')).data, { offset: 2 })
})

t.test('HTTP/1.0, and a body, are refused', async (t) => {
  const server = await serverFor(t)
  const head = `Host: a\r\nAuthorization: Bearer ${tokenFor('a')}\r\n`
  for (const [text, status] of [
    [`GET /sse?room=a HTTP/1.0\r\n${head}\r\n`, 400],
    [`GET /sse?room=a HTTP/1.1\r\n${head}Content-Length: 1\r\n\r\nx`, 400],
  ] as const) {
    const socket = createConnection(server.port, server.host)
    t.teardown(() => socket.destroy())
    socket.write(text)
    const answer = await new Promise<Buffer>((resolve) => socket.once('data', resolve))
    t.equal(Number(String(answer).slice(9, 12)), status, String(answer))
  }
})

t.test('a drain tells when to come back, and ends the stream', async (t) => {
  const server = await serverFor(t)
  const stream = open(t, server, '&room=a')
  await stream.next('joined')
  await server.stop()
  const { data } = await stream.next('closing')
  t.match(data, { reconnectInMs: Number })
  await stream.ended()
  t.equal(stream.retryMs, data.reconnectInMs)
})

t.test('a token that expires ends its stream', async (t) => {
  const server = await serverFor(t)
  const stream = new EventStream(
    `http://${server.host}:${server.port}/sse?token=${tokenFor('a', { exp: nowS() + 2 })}`,
  )
  await stream.next('welcome')
  await stream.ended()
  t.equal(stream.status, 200)
})

for (const policy of ['disconnect', 'drop'])
  t.test(`a stream that does not read is a slow client, and holds nobody back (${policy})`, async (t) => {
    const server = await serverFor(t, {
      SLOW_CLIENT: policy,
      OUTBOX_MAX_BYTES: '65536',
      MESSAGE_RATE: '0',
      PING_INTERVAL_MS: '1000',
    })
    const slow = createConnection({ host: server.host, port: server.port }).pause()
    t.teardown(() => slow.destroy())
    slow.on('error', () => {})
    slow.write(`GET /sse?room=a&token=${tokenFor('slow')} HTTP/1.1\r\nHost: x\r\n\r\n`)
    const quick = open(t, server, '&room=a')
    const writer = await connect(server, 'writer')
    await writer.join('a')
    await pollUntil('both are in', async () => (await server.health()).clients === 3)
    const text = 'x'.repeat(100_000)
    const figures = async () => (await fetch(server.url('/metrics'))).text()
    const isFull = policy === 'disconnect' ? /closes_total\{cause="tooSlow"\} 1/ : /dropped_total [1-9]/
    const sent = await pollUntil('the slow one is too slow', async () => {
      for (let n = 0; n < 10; n++) await writer.publish('a', text)
      return isFull.test(await figures()) ? writer.count : undefined
    })
    t.ok(sent > 0)
    await writer.publish('a', 'last')
    await quick.until('the quick one has all', () => quick.events.at(-1)?.data.content === 'last')
    t.notOk(quick.events.some(({ type }) => type === 'dropped'))
    let heard = ''
    slow.on('data', (bytes) => {
      heard += bytes.toString('latin1').replace(/x{100,}/g, '')
    })
    slow.resume()
    if (policy === 'disconnect') await pollUntil('its stream ends', () => slow.destroyed)
    else await pollUntil('it is told of what it missed', () => /event: ?dropped/.test(heard))
    t.equal((await server.health()).clients, policy === 'disconnect' ? 2 : 3)
  })

t.test('a reader that goes while the host looks at its request is no client', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  let letIn: (() => void) | undefined
  app.addHook('preHandler', () => new Promise<void>((resolve) => (letIn = resolve)))
  await app.register(roomcast, { jwtSecret: SECRET })
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address() as AddressInfo
  const isClosed = new Promise<void>((resolve) =>
    app.server.once('connection', (socket: Socket) => socket.once('close', () => resolve())),
  )
  const stream = new EventStream(`http://127.0.0.1:${port}/sse?room=a&token=${tokenFor('reader')}`)
  await pollUntil('the host looks at it', () => letIn)
  stream.close()
  await isClosed
  letIn?.()
  await pollUntil('it is let in', () => app.hub.counters.connects === 1)
  t.equal(app.hub.size, 0)
  t.equal(app.hub.unfinished, 0)
})
