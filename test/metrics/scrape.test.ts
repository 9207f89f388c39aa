// A scrape, and what the API asks of a node, with 50,000 clients and as many rooms: the loop goes on meanwhile.
import { readFileSync } from 'node:fs'
import { setImmediate as nextTurn } from 'node:timers/promises'
import t from 'tap'
import { MemoryBridge } from '../../src/bridge/memory-bridge.ts'
import { systemClock } from '../../src/clock.ts'
import { Metrics } from '../../src/metrics/metrics.ts'
import { MemoryPresence } from '../../src/presence/memory-presence.ts'
import { turnEnd } from '../support/fake-socket.ts'
import { hubLimits, hubNode } from '../support/hub-node.ts'

const CLIENTS = 50_000
/** A scrape may hold the loop for so long. */
const HOLD_MS = 20

/** The milliseconds that this process has waited for a CPU, which the kernel knows exactly. */
const waitedMs = () =>
  Number(readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'utf8').split(' ')[1]) / 1e6

/** The longest turn of the loop until it is done. */
async function longestTurnMs(work: Promise<unknown>): Promise<number> {
  let isDone = false
  const end = () => {
    isDone = true
  }
  work.then(end, end)
  let longest = 0
  while (!isDone) {
    const [startMs, startWaitedMs] = [performance.now(), waitedMs()]
    await nextTurn()
    longest = Math.max(longest, performance.now() - startMs - (waitedMs() - startWaitedMs))
  }
  await work
  return longest
}

t.test('50,000 clients in 50,000 rooms', async (t) => {
  const bridge = new MemoryBridge(hubLimits, systemClock)
  const rule = { lingerMs: 40, listMax: 3, intervalMs: 20 }
  const { hub, connect } = hubNode(bridge, new MemoryPresence(), rule)
  t.teardown(() => hub.close())
  for (let n = 0; n < CLIENTS; n++) {
    connect(`user ${n}`).say({ type: 'join', room: `room ${n}` })
    if (n % 1000 === 0) await turnEnd()
  }
  await turnEnd()
  const metrics = new Metrics(hub)
  const text = await metrics.scrape()
  for (const name of ['clients', 'users', 'rooms', 'memberships'])
    t.match(text, `\nroomcast_${name} ${CLIENTS}\n`)

  for (const [name, ask] of [
    ['a scrape', () => metrics.scrape()],
    ['a page of rooms', () => hub.inquiries.rooms({ prefix: 'room', after: '', limit: 1000 })],
    ['a room', () => hub.inquiries.room('room 7')],
    ['a user', () => hub.inquiries.user('user 7')],
    ['the cluster', () => hub.inquiries.nodes()],
  ] as [string, () => Promise<unknown>][]) {
    const turns: number[] = []
    for (let n = 0; n < 5; n++) turns.push(await longestTurnMs(ask()))
    turns.sort((one, other) => one - other)
    t.comment(`${name}: ${turns.map((ms) => ms.toFixed(1)).join(', ')} ms`)
    // The median: garbage of what has been set up is collected in one or the other.
    t.ok((turns[2] ?? Infinity) <= HOLD_MS, name)
  }
})
