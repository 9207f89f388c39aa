// How long the event loop was held up, for who asks.
import t from 'tap'
import { LoopWatch } from '../../src/hub/loop-watch.ts'
import { pollUntil } from '../support/until.ts'

const HELD_MS = 150

function hold(): void {
  const endMs = performance.now() + HELD_MS
  while (performance.now() < endMs);
}

t.test('it tells how long the loop was held up, from the first asking on', async (t) => {
  const watch = new LoopWatch()
  t.teardown(() => watch.close())
  t.equal(watch.worstMs(), undefined)
  // A hold counts from the first round of the watch's timer on.
  await pollUntil('a first reading', () => (watch.worstMs() ?? 0) > 0)
  hold()
  const worstMs = await pollUntil('the hold is seen', () => {
    const read = watch.worstMs() ?? 0
    return read > HELD_MS / 2 && read
  })
  t.ok(worstMs < 10 * HELD_MS, `${worstMs} ms`)
})

t.test('closed, it begins anew', async (t) => {
  const watch = new LoopWatch()
  t.teardown(() => watch.close())
  watch.worstMs()
  hold()
  watch.close()
  t.equal(watch.worstMs(), undefined)
})
