import t from 'tap'
import { EarlyMemory } from '../../src/hub/early-memory.ts'

function setUp() {
  const clock = { now: 1000, steadyMs: () => clock.now, wallMs: () => 0 }
  return { clock, memory: new EarlyMemory(clock) }
}

t.test('an early delivery was had by all who had arrived, once for each time', async (t) => {
  const { memory } = setUp()
  t.ok(memory.isEmpty)
  t.equal(memory.take('x'), -1)
  t.equal(memory.arrive(), 1)
  memory.add('x')
  memory.arrive()
  memory.add(Buffer.from('x'))
  memory.add('é', 7)
  t.notOk(memory.isEmpty)
  t.equal(memory.take('y'), -1)
  t.equal(memory.take(Buffer.from('x')), 1, 'text and bytes are the same')
  t.equal(memory.take('x'), 2)
  t.equal(memory.take('x'), -1, 'used up')
  t.equal(memory.take(Buffer.from('é')), 7)
  t.equal(memory.arrivals, 2)
})

t.test('it is forgotten after a minute, and nothing is looked up any more', async (t) => {
  const { clock, memory } = setUp()
  memory.add('x', 1)
  clock.now += 59_000
  memory.add('y', 2)
  clock.now += 2000
  t.equal(memory.take('x'), -1)
  t.equal(memory.take('y'), 2)
  clock.now += 61_000
  t.equal(memory.take('z'), -1)
  t.ok(memory.isEmpty)
})

t.test('what it remembers is bounded', async (t) => {
  const { memory } = setUp()
  for (let n = 0; n < 60_000; n++) memory.add(`${n}`, n)
  t.equal(memory.take('0'), -1)
  t.equal(memory.take('59999'), 59_999)
  for (let n = 0; n < 60_000; n++) memory.add('the same', n)
  t.ok(memory.take('the same') > 0, 'nor does one message make it grow')
})

t.test(
  'a client that left and came back has had what came early while it was there, and no other',
  async (t) => {
    const { clock, memory } = setUp()
    const first = memory.arrive()
    memory.add('x')
    const then = memory.arrivals
    memory.leave('c', 'r', first)
    memory.add('y')
    const later = memory.arrivals
    t.ok(memory.wasThere('c', 'r', then))
    t.notOk(memory.wasThere('c', 'r', later), 'it had gone')
    t.notOk(memory.wasThere('c', 'other', then))
    t.notOk(memory.wasThere('d', 'r', then))
    memory.leave('c', 'r', memory.arrive())
    t.ok(memory.wasThere('c', 'r', then), 'also when it leaves again')
    clock.now += 61_000
    memory.take('z')
    t.notOk(memory.wasThere('c', 'r', then), 'forgotten with the rest')
  },
)

t.test('who comes and goes all the time is remembered for its last memberships', async (t) => {
  const { memory } = setUp()
  const first = memory.arrive()
  memory.add('x')
  const then = memory.arrivals
  memory.leave('c', 'r', first)
  for (let n = 0; n < 20; n++) memory.leave('c', 'r', memory.arrive())
  t.ok(memory.wasThere('c', 'r', memory.arrivals - 1))
  t.notOk(memory.wasThere('c', 'r', then))
})
