import t from 'tap'
import { EventQueue } from '../../src/webhooks/event-queue.ts'

t.test('a batch has at most 100 events and about 256 KiB, and at least one event', async (t) => {
  const queue = new EventQueue(16 * 1024 * 1024)
  for (let n = 0; n < 150; n++) queue.add('client.connected', String(n))
  t.equal(queue.batch().length, 100)
  queue.remove(100)
  t.equal(queue.batch()[0], '100')
  queue.remove(50)
  t.equal(queue.bytes, 0)
  for (let n = 0; n < 3; n++) queue.add('client.connected', 'x'.repeat(200_000))
  t.equal(queue.batch().length, 1)
  t.equal(new EventQueue(1000).batch().length, 0)
})

t.test('full, the newest is dropped and counted, and what waits is kept', async (t) => {
  const queue = new EventQueue(1000)
  for (let n = 0; n < 10; n++) queue.add('client.disconnected', String(n))
  t.strictSame(queue.batch(), ['0', '1', '2'])
  t.match(queue.dropped, { 'client.connected': 0, 'client.disconnected': 7 })
  t.ok(queue.bytes <= 1000)
})
