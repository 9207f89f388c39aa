import t from 'tap'
import { MemoryBridge } from '../../src/bridge/memory-bridge.ts'
import { systemClock } from '../../src/clock.ts'
import { bridgeContract, TestNode } from '../support/bridge-contract.ts'
import { heldBytes } from '../support/held-bytes.ts'

const historyTotalBytes = 1_000_000

bridgeContract('memory', {
  nodes: 1,
  create: () => new MemoryBridge({ historyTotalBytes }, systemClock),
})

t.test('all rooms together keep no more than they may: those idle for longest lose theirs', async (t) => {
  const bridge = new MemoryBridge({ historyTotalBytes: 10_000 }, systemClock)
  const node = new TestNode(bridge, { size: 10, ttlMs: 60_000, maxBytes: 100_000 })
  t.teardown(() => node.bridge.close())
  const read = async (room: string) =>
    (await node.replay(room, { since: undefined, limit: 10 })).messages.length
  await node.publish('kept', 1)
  const { position: seen } = await node.replay('idle', { since: undefined, limit: 0 })
  await node.publish('idle', 1)
  for (let n = 0; n < 30; n++) {
    await node.publish(`room ${n}`, 'x'.repeat(200))
    await node.publish('kept', n)
  }
  t.equal(await read('idle'), 0)
  t.equal(await read('room 29'), 1)
  t.equal(await read('kept'), 10)
  const again = await node.replay('idle', { since: seen, limit: 9 })
  t.match(again, { isComplete: false }, 'and nobody takes the new history for the old one')
})

t.test('keys of publishes are remembered by what they take of memory', async (t) => {
  const bridge = new MemoryBridge({ historyTotalBytes: 1024 }, systemClock)
  t.teardown(() => bridge.close())
  // Written as JSON, each of these characters has six.
  const publish = (n: number) =>
    bridge.publish({
      room: `room ${n}`,
      head: '{}',
      history: undefined,
      exclude: undefined,
      once: { user: '\u0001'.repeat(256), key: `\u0416${'\u0001'.repeat(63)}` },
    })
  const held = heldBytes(() => {
    for (let n = 0; n < 40_000; n++) publish(n)
    return bridge
  })
  t.ok(held < 70 * 1024 * 1024, `${Math.round(held / 1024)} KiB`)
  t.match(publish(39_999), { duplicate: true }, 'the newest is among them')
})
