import t from 'tap'
import { Inbox } from '../../src/hub/inbox.ts'

/** An inbox whose turns are made by hand. */
function setUp() {
  const seen: string[] = []
  let scheduled = 0
  const inbox = new Inbox(() => scheduled++)
  /** What a socket does with what has come; looking at it takes `ms`. */
  const arrive = (name: string, ms: number) => {
    const look = () => {
      seen.push(name)
      const until = performance.now() + ms
      while (performance.now() < until);
    }
    if (inbox.hasTime) look()
    else inbox.wait(look)
  }
  return { inbox, seen, arrive, scheduled: () => scheduled }
}

t.test('what comes is looked at at once, while the turn has time', async (t) => {
  const { inbox, seen, arrive, scheduled } = setUp()
  arrive('a', 0)
  arrive('b', 0)
  t.strictSame(seen, ['a', 'b'])
  t.equal(scheduled(), 1, 'the end of the turn is asked for once')
  inbox.carryOn()
  t.equal(scheduled(), 1, 'and not again when nothing waits')
  t.notOk(inbox.isWaiting)
})

t.test('more is looked at in later turns, in its order, and what comes meanwhile behind it', async (t) => {
  const { inbox, seen, arrive } = setUp()
  const names = Array.from({ length: 10 }, (_, n) => `first ${n}`)
  for (const name of names) arrive(name, 3)
  t.ok(seen.length < 5, 'the loop gets its turn')
  inbox.carryOn()
  t.ok(inbox.isWaiting)
  arrive('next', 0)
  t.notOk(seen.includes('next'))
  let turns = 0
  while (!seen.includes('next') && turns++ < 20) {
    const before = seen.length
    inbox.carryOn()
    t.ok(seen.length - before < 5)
  }
  t.strictSame(seen, [...names, 'next'])
})
