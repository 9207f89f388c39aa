import type { IncomingMessage } from 'node:http'
import { PassThrough } from 'node:stream'
import { setImmediate as turnEnd } from 'node:timers/promises'
import t from 'tap'
import { UpgradeQueue } from '../../plugins/upgrade-queue.ts'

const nothing = Buffer.alloc(0)

function queueOf(count: number) {
  const carriedOut: PassThrough[] = []
  const queue = new UpgradeQueue(
    (_request, socket) => carriedOut.push(socket as PassThrough),
    (error) => t.fail(error),
  )
  const sockets = Array.from({ length: count }, () => new PassThrough())
  for (const socket of sockets) queue.add({} as IncomingMessage, socket, nothing)
  return { queue, sockets, carriedOut }
}

t.test('upgrades are carried out a few each turn, in their order', async (t) => {
  const { sockets, carriedOut } = queueOf(1_000)
  t.equal(carriedOut.length, 0)
  let turns = 0
  while (carriedOut.length < sockets.length) {
    const before = carriedOut.length
    await turnEnd()
    turns++
    t.ok(carriedOut.length - before <= 8, 'a turn is never held by more than eight')
  }
  t.ok(turns >= 125)
  t.ok(sockets.every((socket, index) => carriedOut[index] === socket))
})

t.test('a flood beyond the bound does not wait', async (t) => {
  const { sockets, carriedOut } = queueOf(10_000)
  await turnEnd()
  t.equal(carriedOut.length, 10_000 - 4_096)
  while (carriedOut.length < sockets.length) await turnEnd()
  t.ok(sockets.every((socket, index) => carriedOut[index] === socket))
})

t.test('a socket that breaks while it waits is passed over and harms nobody', async (t) => {
  const { sockets, carriedOut } = queueOf(20)
  sockets[3]?.emit('error', new Error('reset'))
  while (carriedOut.length < 19) await turnEnd()
  t.equal(sockets[3]?.destroyed, true)
  t.ok(!carriedOut.includes(sockets[3] as PassThrough))
  t.ok(
    carriedOut.every((socket) => socket.listenerCount('error') === 0),
    'errors are the business of whom it is handed to',
  )
})

t.test('a queue that is cleared gives its sockets back and carries out none of them', async (t) => {
  const { queue, sockets, carriedOut } = queueOf(20)
  await turnEnd()
  const rest = queue.clear()
  t.equal(carriedOut.length + rest.length, 20)
  t.strictSame(rest, sockets.slice(carriedOut.length))
  const done = carriedOut.length
  const late = new PassThrough()
  queue.add({} as IncomingMessage, late, nothing)
  await turnEnd()
  t.equal(carriedOut.length, done + 1)
  t.equal(carriedOut.at(-1), late)
})

t.test('one that fails ends its own socket and nothing else', async (t) => {
  const errors: Error[] = []
  let done = 0
  const queue = new UpgradeQueue(
    () => {
      if (++done === 2) throw new Error('no')
    },
    (error) => errors.push(error),
  )
  const sockets = Array.from({ length: 5 }, () => new PassThrough())
  for (const socket of sockets) queue.add({} as IncomingMessage, socket, nothing)
  while (done < sockets.length) await turnEnd()
  t.strictSame(
    sockets.map(({ destroyed }) => destroyed),
    [false, true, false, false, false],
  )
  t.match(errors, [{ message: 'no' }])
})
