import { setImmediate as turnEnd } from 'node:timers/promises'
import t from 'tap'
import { TurnQueue } from '../src/turn-queue.ts'

function queueOf(count: number) {
  const carriedOut: number[] = []
  const queue = new TurnQueue<number>((item) => carriedOut.push(item), { perTurn: 4, maxWaiting: 100 })
  for (let item = 0; item < count; item++) queue.add(item)
  return { queue, carriedOut }
}

t.test('what waits is carried out a few each turn, in its order', async (t) => {
  const { carriedOut } = queueOf(10)
  t.strictSame(carriedOut, [])
  await turnEnd()
  t.strictSame(carriedOut, [0, 1, 2, 3])
  await turnEnd()
  t.strictSame(carriedOut, [0, 1, 2, 3, 4, 5, 6, 7])
  await turnEnd()
  t.strictSame(carriedOut, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
})

t.test('what is beyond the bound does not wait', async (t) => {
  const { carriedOut } = queueOf(150)
  await turnEnd()
  t.equal(carriedOut.length, 50)
})

t.test('what is given up is returned, and later ones are carried out', async (t) => {
  const { queue, carriedOut } = queueOf(3)
  t.strictSame(queue.clear(), [0, 1, 2])
  queue.add(9)
  await turnEnd()
  t.strictSame(carriedOut, [9])
})
