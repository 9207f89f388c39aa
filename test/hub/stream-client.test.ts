// What a stream's ids stand for.
import t from 'tap'
import { Permissions } from '../../src/auth/permissions.ts'
import { MemoryBridge } from '../../src/bridge/memory-bridge.ts'
import { systemClock } from '../../src/clock.ts'
import { configFrom } from '../../src/config.ts'
import { Hub } from '../../src/hub/hub.ts'
import { ReadPump } from '../../src/hub/read-pump.ts'
import { StreamClient } from '../../src/hub/stream-client.ts'
import { MemoryPresence } from '../../src/presence/memory-presence.ts'
import { decodePositions } from '../../src/protocol/positions.ts'
import { FakeSocket, turnEnd } from '../support/fake-socket.ts'

const log = { debug() {}, info() {}, warn() {}, error() {} }

for (const rooms of [['r'], ['r', 'other']]) {
  t.test(`in ${rooms.length} rooms, what is dropped for a slow reader moves no id`, async (t) => {
    const config = configFrom({ slowClient: 'drop', outboxMaxBytes: 1024 })
    const hub = new Hub({
      bridge: new MemoryBridge(config, systemClock),
      presence: new MemoryPresence(),
      limits: config,
      log,
    })
    t.teardown(() => hub.close())
    const socket = new FakeSocket()
    const identity = { user: 'a', permissions: new Permissions({ join: ['*'] }, 'a'), expiresAt: Infinity }
    const client = hub.connect(socket, identity, (...parts) => new StreamClient(...parts, new Map()))
    const limits = { messageRate: 0, messageBurst: 1 }
    new ReadPump(hub, client, { clock: systemClock, log, limits, maxNesting: 16 }).joinFirst(
      rooms.map((room) => ({ type: 'join', room })),
    )
    await turnEnd()
    socket.room = 0
    await hub.publish('r', 'x'.repeat(600))
    await turnEnd()
    for (let n = 2; n <= 9; n++) {
      await hub.publish('r', 'x'.repeat(600))
      await turnEnd()
    }
    t.ok(client.drops > 0, 'some were dropped')
    socket.read(Infinity)
    await turnEnd()
    const text = socket.written.map(String).join('')
    const events = text.split('\n\n')
    const got = events.filter((event) => event.startsWith('event: message'))
    t.equal(got.length + client.drops, 9)
    const ids = [...text.matchAll(/^id: (.*)$/gm)].map(([, id]) => decodePositions(id)?.get('r')?.offset)
    t.equal(ids.at(-1), got.length, 'the last id is that of the last one it got')
  })
}
