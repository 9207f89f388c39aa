// B05 at its full length: unfinished messages that are held for minutes.
import t from 'tap'
import { connect } from '../support/client.ts'
import { frame, hex, OPCODE } from '../support/frames.ts'
import { RawSocket } from '../support/raw-socket.ts'
import { startServer } from '../support/server.ts'
import { clientsAre, stillServing } from '../support/still-serving.ts'
import { tokenFor } from '../support/token.ts'
import { pace, pollUntil } from '../support/until.ts'

const MINUTE_MS = 60_000

t.test('B05 50 unfinished messages idle for 5 minutes, and one that comes byte by byte', async (t) => {
  // Pings often, so that the idle ones show that they answer.
  const server = await startServer({ CONNECT_RATE_MAX: '0', MESSAGE_RATE: '0', PING_INTERVAL_MS: '5000' })
  t.teardown(() => server.stop())
  const b = await connect(server, 'b')
  await b.join('r')
  await stillServing(t, server, { bystander: b, open: 1 })
  const open = async () => {
    const socket = await RawSocket.upgrade(server, `/ws?token=${tokenFor('a')}`)
    await socket.frame('the welcome', ({ opcode }) => opcode === OPCODE.text)
    return socket
  }
  for (const warm of await Promise.all(Array.from({ length: 50 }, open))) warm.destroy()
  await clientsAre(server, 1)
  const before = server.rss()

  const sockets = await Promise.all(Array.from({ length: 50 }, open))
  const oneByte = frame(OPCODE.continuation, 'a', { fin: false })
  for (const socket of sockets) {
    socket.write(Buffer.concat([hex('0181 00000000 61'), ...Array(1_000).fill(oneByte)]))
  }
  const slow = await open()
  const large = frame(OPCODE.text, Buffer.alloc(100_000, 'a'))
  const endMs = performance.now() + 5 * MINUTE_MS
  let peak = 0
  let slowestMs = 0
  for (let at = 0; performance.now() < endMs; at++) {
    slow.write(large.subarray(at, at + 1))
    peak = Math.max(peak, server.rss())
    const startMs = performance.now()
    await b.fence()
    slowestMs = Math.max(slowestMs, performance.now() - startMs)
    await pace(1_000)
  }
  t.ok(peak - before < 64 * 1024 * 1024, `RSS grew by ${Math.round((peak - before) / 1024)} KiB at most`)
  t.ok(slowestMs < 250, `others wait less than 250 ms (${Math.round(slowestMs)} ms)`)
  const held = sockets.filter((socket) => !socket.end)
  t.comment(`${held.length} of 50 unfinished messages are still held, the slow one ${slow.end ?? 'too'}`)
  for (const socket of held) socket.write(frame(OPCODE.continuation, 'a'))
  for (const socket of held) {
    await socket.frame('the message is taken when it is whole', ({ payload }) =>
      payload.includes('bad_envelope'),
    )
  }
  for (const socket of [...sockets, slow]) socket.destroy()
  await clientsAre(server, 1)
  await pollUntil('RSS is back within 10 %', () => server.rss() < before * 1.1, 30_000)
  await stillServing(t, server, { bystander: b, open: 1 })
  await b.close()
})
