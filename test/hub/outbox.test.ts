import fc from 'fast-check'
import t from 'tap'
import { Backlog, worthKeeping } from '../../src/hub/backlog.ts'
import { Batch } from '../../src/hub/batch.ts'
import { Outbox } from '../../src/hub/outbox.ts'
import { CHUNK_BYTES, Strand } from '../../src/hub/strand.ts'
import { Turn } from '../../src/hub/turn.ts'
import { WHOLE_BYTES, WritePump } from '../../src/hub/write-pump.ts'
import { FakeSocket, turnEnd } from '../support/fake-socket.ts'

const frame = (text: string) => Buffer.from(text)

function pumpOf(socket: FakeSocket, maxBytes: number, caughtUp = () => {}) {
  const turn = new Turn()
  const outbox = new Outbox(maxBytes, turn)
  const pump = new WritePump(socket, outbox, turn, { caughtUp })
  const push = (bytes: Buffer) => pump.pushShared(bytes, 'r')
  return { pump, outbox, push }
}

/** A pump whose flush takes a while. */
const busyPump = (flushed: string[], name: string, busyMs: number) => ({
  flush() {
    flushed.push(name)
    const until = performance.now() + busyMs
    while (performance.now() < until);
    return 0
  },
})

/** The batch of a client that gets these frames: a room's, as names of those in `strand`, and its own in capitals. */
function batchOf(strand: Strand, frames: Map<string, Buffer>, gets: string): Batch {
  const batch = new Batch()
  for (const name of gets) {
    const shared = frames.get(name)
    if (shared === undefined) batch.appendOwn(frame(name))
    else if (!batch.follow(shared)) batch.append(strand, shared)
  }
  return batch
}

const bytesOf = (batch: Batch) => Buffer.concat([...batch.pieces()])

t.test('clients that are sent the same frames share one buffer', async (t) => {
  const strand = new Strand()
  const frames = new Map(['a', 'b', 'c'].map((name) => [name, frame(name)]))
  const one = batchOf(strand, frames, 'abc')
  const other = batchOf(strand, frames, 'abc')
  t.equal(one.pieces()[0], other.pieces()[0])
  t.equal(String(bytesOf(one)), 'abc')
  const alone = new Strand()
  const single = frame('single')
  t.equal(batchOf(alone, new Map([['s', single]]), 's').pieces()[0], single, 'a single frame is not copied')
})

t.test('whoever is left out of some, and gets others of its own, gets the rest in order', async () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ size: fc.integer({ min: 1, max: 40_000 }), left: fc.nat(4), own: fc.boolean() }), {
        maxLength: 30,
      }),
      (messages) => {
        const strand = new Strand()
        const batches = [0, 1, 2, 3, 4].map(() => ({ batch: new Batch(), due: [] as Buffer[] }))
        for (const [index, { size, left, own }] of messages.entries()) {
          const bytes = Buffer.alloc(size, index)
          for (const [member, { batch, due }] of batches.entries()) {
            if (member !== left) {
              if (!batch.follow(bytes)) batch.append(strand, bytes)
              due.push(bytes)
            } else if (own) {
              const answer = frame(`ack ${index}`)
              batch.appendOwn(answer)
              due.push(answer)
            }
          }
        }
        return batches.every(({ batch, due }) => {
          const all = Buffer.concat(due)
          return batch.bytes === all.length && bytesOf(batch).equals(all)
        })
      },
    ),
    { numRuns: 100 },
  )
})

t.test('the bytes of a room in which everybody speaks exist once', async (t) => {
  const strand = new Strand()
  const members = Array.from({ length: 50 }, () => new Batch())
  for (let round = 0; round < 3; round++) {
    for (const sender of members) {
      const message = Buffer.alloc(2000)
      for (const member of members) {
        if (member === sender) member.appendOwn(frame('an answer'))
        else if (!member.follow(message)) member.append(strand, message)
      }
    }
  }
  const memory = new Set(members.flatMap((member) => member.pieces().map(({ buffer }) => buffer)))
  const bytes = [...memory].reduce((sum, { byteLength }) => sum + byteLength, 0)
  t.ok(bytes < 2 * 150 * 2000, `${bytes} bytes for 150 messages of 2,000`)
})

t.test('a few bytes do not keep a large chunk in memory; a fair share of it is not copied', async (t) => {
  const chunk = Buffer.alloc(CHUNK_BYTES)
  const [few] = worthKeeping([chunk.subarray(0, 5000)])
  t.not(few?.buffer, chunk.buffer)
  const halves = [chunk.subarray(0, 15_000), chunk.subarray(20_000, 40_000)]
  t.strictSame(
    worthKeeping(halves).map(({ buffer }) => buffer === chunk.buffer),
    [true, true],
  )
})

t.test('chunks hold whole frames in order, whatever the sizes', async () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: CHUNK_BYTES * 2 }), { maxLength: 12 }), (sizes) => {
      const frames = sizes.map((size, index) => Buffer.alloc(size, index + 1))
      const strand = new Strand()
      for (const one of frames) strand.place(one)
      const chunks = strand.chunks()
      const endsOf = (lengths: number[]) =>
        lengths.map((_, index) => lengths.slice(0, index + 1).reduce((a, b) => a + b))
      const ends = new Set(endsOf(sizes))
      const whole = endsOf(chunks.map((chunk) => chunk.length)).every((end) => ends.has(end))
      const fits = chunks.every((chunk) => chunk.length <= CHUNK_BYTES || sizes.includes(chunk.length))
      return whole && fits && Buffer.concat(chunks).equals(Buffer.concat(frames))
    }),
    { numRuns: 100 },
  )
})

t.test('a backlog gives back what was pushed, in pieces of any size', async () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.oneof(
          fc.record({ push: fc.integer({ min: 1, max: 40 }) }),
          fc.record({ take: fc.integer({ min: 1, max: 50 }) }),
        ),
        {
          maxLength: 60,
        },
      ),
      (steps) => {
        const backlog = new Backlog()
        let next = 0
        let pushed = Buffer.alloc(0)
        let taken = Buffer.alloc(0)
        for (const step of steps) {
          if ('push' in step) {
            const chunk = Buffer.alloc(step.push, next++)
            pushed = Buffer.concat([pushed, chunk])
            backlog.push(chunk)
          } else {
            const pieces = Buffer.concat(backlog.take(step.take))
            if (pieces.length > step.take) return false
            taken = Buffer.concat([taken, pieces])
          }
          if (backlog.bytes !== pushed.length - taken.length) return false
        }
        return pushed.subarray(0, taken.length).equals(taken)
      },
    ),
  )
})

t.test('a write pump loses, doubles and reorders nothing, whatever the socket takes', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.oneof(
          { weight: 4, arbitrary: fc.record({ push: fc.integer({ min: 1, max: 200_000 }) }) },
          { weight: 2, arbitrary: fc.record({ read: fc.integer({ min: 1, max: 300_000 }) }) },
          { weight: 2, arbitrary: fc.constant('turn' as const) },
        ),
        { maxLength: 40 },
      ),
      async (steps) => {
        const socket = new FakeSocket()
        socket.room = 1000
        const { pump, outbox } = pumpOf(socket, 500_000)
        const accepted: Buffer[] = []
        let next = 0
        for (const step of steps) {
          if (step === 'turn') await turnEnd()
          else if ('read' in step) socket.read(step.read)
          else {
            const bytes = Buffer.alloc(step.push, ++next)
            if (next % 3 === 0 ? pump.pushOwn(bytes) : pump.pushShared(bytes, `${next % 2}`))
              accepted.push(bytes)
          }
        }
        await turnEnd()
        for (let rounds = 0; rounds < 1000 && (outbox.bytes > 0 || outbox.blocked); rounds++) {
          socket.read(1_000_000)
          if (!outbox.blocked) await turnEnd()
        }
        return Buffer.concat(socket.written).equals(Buffer.concat(accepted))
      },
    ),
    { numRuns: 200 },
  )
})

t.test('all frames of a turn go in one write', async (t) => {
  const socket = new FakeSocket()
  const { push } = pumpOf(socket, 1000)
  for (let n = 0; n < 100; n++) push(frame('x'))
  t.equal(socket.written.length, 0)
  await turnEnd()
  t.equal(socket.written.length, 1)
})

t.test('a burst that meets an idle socket is not slowness, an untaken backlog is', async (t) => {
  const socket = new FakeSocket()
  socket.room = 0
  const { outbox, push } = pumpOf(socket, 1000)
  for (let n = 0; n < 50; n++) t.ok(push(Buffer.alloc(1000)), 'however large')
  await turnEnd()
  t.ok(outbox.blocked)
  t.ok(push(Buffer.alloc(600)), 'up to maxBytes may be added')
  t.notOk(push(Buffer.alloc(600)), 'and no more')
  t.ok(push(Buffer.alloc(400)))
  await turnEnd()
  socket.read(49_000)
  t.notOk(push(Buffer.alloc(600)), 'still blocked')
  socket.read(100_000)
  t.notOk(outbox.blocked)
  t.ok(push(Buffer.alloc(5000)), 'a client that has caught up starts anew')
})

t.test('the client is told once it has caught up', async (t) => {
  const socket = new FakeSocket()
  socket.room = 0
  let caughtUp = 0
  const { pump, push } = pumpOf(socket, 1000, () => caughtUp++)
  push(Buffer.alloc(WHOLE_BYTES + 10))
  await turnEnd()
  t.equal(caughtUp, 0)
  socket.read(WHOLE_BYTES)
  t.equal(caughtUp, 0, 'ten bytes are still out')
  socket.read(100)
  t.equal(caughtUp, 1)
  t.equal(pump.drains, 2)
})

t.test('an abandoned pump completes the frame that is half out, and only that', async (t) => {
  const socket = new FakeSocket()
  socket.room = 0
  const { pump, push } = pumpOf(socket, 1_000_000)
  const large = Buffer.alloc(CHUNK_BYTES * 2, 1)
  push(large)
  push(frame('late'))
  await turnEnd()
  push(frame('later'))
  pump.abandon()
  t.ok(Buffer.concat(socket.written).equals(large))
})

t.test('finish waits until everything is with the socket', async (t) => {
  const socket = new FakeSocket()
  socket.room = 0
  const { pump, push } = pumpOf(socket, 1000)
  push(Buffer.alloc(WHOLE_BYTES + 1))
  let finished = false
  pump.finish(() => (finished = true))
  t.notOk(finished)
  socket.read(WHOLE_BYTES)
  t.ok(finished)
})

t.test('a turn flushes a large room in slices, and everybody once', async (t) => {
  const turn = new Turn()
  const flushed: string[] = []
  for (let n = 0; n < 200; n++) turn.add(busyPump(flushed, `${n}`, 0.5))
  await turnEnd()
  t.ok(flushed.length > 0 && flushed.length < 200, 'others got the loop in between')
  for (let turns = 0; flushed.length < 200 && turns < 500; turns++)
    await new Promise((resolve) => setImmediate(resolve))
  t.strictSame(
    flushed,
    Array.from({ length: 200 }, (_, n) => `${n}`),
  )
})

t.test('a few clients do not wait for the rest of a large room; many do', async (t) => {
  const turn = new Turn()
  const flushed: string[] = []
  const add = (name: string, busyMs: number) => turn.add(busyPump(flushed, name, busyMs))
  for (let n = 0; n < 200; n++) add('large', 0.5)
  await turnEnd()
  const before = flushed.length
  t.ok(before < 200)
  add('small', 0)
  await turnEnd()
  t.equal(flushed[before], 'small')
  for (let n = 0; n < 300; n++) add('other large', 0)
  for (let turns = 0; flushed.length < 501 && turns < 500; turns++)
    await new Promise((resolve) => setImmediate(resolve))
  t.equal(flushed.indexOf('other large'), 201, 'the first large room is done before the next')
})

t.test(
  'an answer does not wait for the flush of many, also when they have been told more meanwhile',
  async (t) => {
    const turn = new Turn()
    const flushed: string[] = []
    for (let n = 0; n < 3000; n++) turn.add(busyPump(flushed, 'many', 0.02))
    await turnEnd()
    t.ok(flushed.length < 400, 'those who come meanwhile are let in every 2 ms')
    const socket = new FakeSocket()
    const pump = new WritePump(socket, new Outbox(1000, turn), turn, { caughtUp: () => {} })
    for (let n = 0; n < 300; n++) turn.add(busyPump(flushed, 'more', 0))
    pump.pushShared(frame('more '), 'many')
    pump.pushOwn(frame('answer'))
    await turnEnd()
    t.equal(String(Buffer.concat(socket.written)), 'more answer', 'in its place among what the client gets')
    t.ok(flushed.length < 3000, 'before the rest of them')
    pump.pushShared(frame(' later'), 'many')
    for (let turns = 0; flushed.length < 3300 && turns < 5000; turns++)
      await new Promise((resolve) => setImmediate(resolve))
    t.equal(String(Buffer.concat(socket.written)), 'more answer later', 'each once')
  },
)

t.test('who is flushed ahead of a room leaves its members one buffer', async (t) => {
  const strand = new Strand()
  const frames = new Map(['a', 'b'].map((name) => [name, frame(name)]))
  const member = batchOf(strand, frames, 'a')
  const ahead = batchOf(strand, frames, 'aX')
  t.equal(String(Buffer.concat([...ahead.pieces(true)])), 'aX')
  member.append(strand, frames.get('b') as Buffer)
  t.strictSame(member.pieces().map(String), ['ab'])
})

t.test('who asks for a flush while a few are flushed ahead of a large room is not forgotten', async (t) => {
  const turn = new Turn()
  const flushed: string[] = []
  for (let n = 0; n < 200; n++) turn.add(busyPump(flushed, 'large', 0.5))
  await turnEnd()
  // More than half of a slice, and the first has a client that has caught up meanwhile.
  const first = busyPump(flushed, 'first', 10)
  turn.add({
    flush: () => {
      turn.add(busyPump(flushed, 'asked', 0))
      return first.flush()
    },
  })
  for (let n = 0; n < 200; n++) turn.add(busyPump(flushed, 'few', 0.1))
  for (let turns = 0; flushed.length < 402 && turns < 500; turns++)
    await new Promise((resolve) => setImmediate(resolve))
  t.equal(flushed.filter((name) => name === 'asked').length, 1)
  t.equal(flushed.length, 402)
})

t.test('a turn without a flush to speak of needs no rest', async (t) => {
  const turn = new Turn()
  const done: string[] = []
  turn.add(busyPump(done, 'flush', 0))
  turn.onceRested(() => done.push('rested'))
  await turnEnd()
  t.strictSame(done, ['flush', 'rested'])
})

t.test('a rest is as long as the flush was, and bounded; what comes meanwhile waits with it', async (t) => {
  for (const [busyMs, atMost] of [
    [2, 3.5],
    [20, 4],
  ] as const) {
    const turn = new Turn()
    const done: string[] = []
    const rested = new Promise((resolve) => turn.onceRested(() => resolve(done.push('first'))))
    turn.onceRested(() => done.push('second'))
    const { setTimeout } = globalThis
    const restsMs: number[] = []
    // While the node rests, however short that is.
    t.intercept(globalThis, 'setTimeout', {
      value: (then: () => void, ms: number) => {
        t.strictSame(done, ['flush'], 'not before the flush, nor at once after it')
        restsMs.push(ms)
        turn.onceRested(() => done.push('third'))
        return setTimeout(then, ms)
      },
    })
    turn.add(busyPump(done, 'flush', busyMs))
    await rested
    t.intercept(globalThis, 'setTimeout', { value: setTimeout })
    t.strictSame(done, ['flush', 'first', 'second', 'third'])
    const [restMs = 0, ...others] = restsMs
    t.strictSame(others, [], 'one timer')
    t.ok(restMs > 1 && restMs <= atMost, `${restMs} ms`)
  }
})

t.test("a large room's flush is not waited for, nor the rest that was before it", async (t) => {
  const turn = new Turn()
  const flushed: string[] = []
  turn.add(busyPump(flushed, 'before', 4))
  await turnEnd()
  for (let n = 0; n < 200; n++) turn.add(busyPump(flushed, 'large', 0.5))
  const atRest = new Promise<number>((resolve) => turn.onceRested(() => resolve(flushed.length)))
  const timers = t.capture(globalThis, 'setTimeout', globalThis.setTimeout)
  t.ok((await atRest) < 201)
  t.strictSame(timers(), [])
})

t.test('what comes at one time is one burst, over however many turns it is looked at', async (t) => {
  const turn = new Turn()
  const { burst } = turn
  turn.add(busyPump([], 'quick', 0))
  await turnEnd()
  t.equal(turn.burst, burst + 1, 'one turn was enough')
  for (let n = 0; n < 3; n++) turn.inbox.wait(() => busyPump([], 'long', 10).flush())
  turn.add(busyPump([], 'quick', 0))
  await new Promise((resolve) => setImmediate(resolve))
  t.equal(turn.burst, burst + 1, 'more is to be looked at')
  while (turn.inbox.isWaiting) await turnEnd()
  t.equal(turn.burst, burst + 2)
})
