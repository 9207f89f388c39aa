import t from 'tap'
import { RedisClock } from '../../src/bridge/redis-clock.ts'

/** The server's clock minus ours, in these tests. */
const AHEAD_MS = 1_700_000_000_000

/** An answer that took so long there and so long back. */
function answer(clock: RedisClock, atMs: number, thereMs: number, backMs: number, aheadMs = AHEAD_MS): void {
  clock.note(atMs, atMs + thereMs + backMs, atMs + thereMs + aheadMs)
}

t.test('a slow answer does not spoil what a fast one has told', async (t) => {
  const clock = new RedisClock()
  answer(clock, 0, 1, 1)
  answer(clock, 1000, 1800, 0)
  t.equal(clock.at(5000) - AHEAD_MS, 5000)
  answer(clock, 4000, 0, 1800)
  t.equal(clock.at(6000) - AHEAD_MS, 6000)
})

t.test('of slow answers alone the error is half of the way at most', async (t) => {
  const clock = new RedisClock()
  answer(clock, 0, 900, 100)
  t.ok(Math.abs(clock.at(2000) - AHEAD_MS - 2000) <= 500)
  answer(clock, 3000, 100, 100)
  t.equal(clock.at(4000) - AHEAD_MS, 4000, 'a faster one is believed')
})

t.test('clocks that drift apart are followed', async (t) => {
  const clock = new RedisClock()
  const driftMs = (atMs: number) => atMs / 20_000
  for (let atMs = 0; atMs < 3_600_000; atMs += 1000) {
    const wayMs = 1 + ((atMs / 1000) % 7)
    answer(clock, atMs, wayMs, wayMs, AHEAD_MS + driftMs(atMs))
  }
  t.ok(Math.abs(clock.at(3_600_000) - AHEAD_MS - 3_600_000 - driftMs(3_600_000)) < 10)
})

t.test('a clock that is set, there or here, is believed at once', async (t) => {
  const clock = new RedisClock()
  answer(clock, 0, 1, 1)
  answer(clock, 1000, 40, 60, AHEAD_MS + 2000)
  t.ok(Math.abs(clock.at(2000) - AHEAD_MS - 4000) <= 50)
  answer(clock, 3000, 2, 2, AHEAD_MS - 2000)
  t.equal(clock.at(4000) - AHEAD_MS, 2000)
})
