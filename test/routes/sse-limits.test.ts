// The limits and the heartbeat of /ws, on streams.
import { createConnection } from 'node:net'
import t from 'tap'
import { connect } from '../support/client.ts'
import { EventStream } from '../support/event-stream.ts'
import { startServer } from '../support/server.ts'
import { tokenFor } from '../support/token.ts'
import { pollUntil } from '../support/until.ts'

t.test('streams and sockets count against one limit of clients, and of connections', async (t) => {
  const server = await startServer({
    ...{ MAX_CLIENTS: '2', CONNECT_RATE_MAX: '4', CONNECT_RATE_WINDOW_MS: '600000' },
  })
  t.teardown(() => server.stop())
  const url = `http://${server.host}:${server.port}/sse?room=a&token=${tokenFor('reader')}`
  const socket = await connect(server, 'writer')
  const first = new EventStream(url)
  await first.next('joined')

  const full = new EventStream(url)
  await full.ended()
  t.match(full, { status: 503, headers: { 'retry-after': '5' } })
  t.equal(JSON.parse(full.body).error, 'full')
  await socket.close()
  await pollUntil('there is room', async () => (await server.health()).clients === 1)
  const second = new EventStream(url)
  await second.next('joined')

  const many = new EventStream(url)
  await many.ended()
  t.equal(many.status, 429)
  t.equal(JSON.parse(many.body).error, 'rate_limited')
  t.ok(Number(many.headers['retry-after']) > 0)
  const clients = [first, second]
  for (const stream of clients) stream.close()
})

t.test('a stream that reads outlives many ping intervals, and one that takes nothing is ended', async (t) => {
  const server = await startServer({
    ...{ PING_INTERVAL_MS: '200', PONG_TIMEOUT_MS: '200', MESSAGE_RATE: '0' },
    // Its outbox alone would not end it.
    ...{ OUTBOX_MAX_BYTES: '67108864' },
  })
  t.teardown(() => server.stop())
  const path = `/sse?room=a&token=${tokenFor('reader')}`
  const reading = new EventStream(`http://${server.host}:${server.port}${path}`)
  await reading.next('joined')
  const stuck = createConnection({ host: server.host, port: server.port }).pause()
  stuck.on('error', () => {})
  stuck.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`)
  t.teardown(() => stuck.destroy())
  const writer = await connect(server, 'writer')
  await writer.join('a')
  await pollUntil('all are in', async () => (await server.health()).clients === 3)
  const text = 'x'.repeat(60_000)
  await pollUntil('the one that takes nothing is gone', async () => {
    await writer.publish('a', text)
    return (await server.health()).clients === 2
  })
  const before = reading.comments.length
  await reading.until('comments go on', () => reading.comments.length >= before + 5)
  await writer.publish('a', 'last')
  await reading.until('it has all', () => reading.events.at(-1)?.data.content === 'last')
  t.match(await (await fetch(server.url('/metrics'))).text(), /closes_total\{cause="silent"\} 1/)
  reading.close()
})
