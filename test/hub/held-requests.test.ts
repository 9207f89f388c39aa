// What all clients together have waiting here is bounded, whatever each of them may have.
import t from 'tap'
import { Permissions } from '../../src/auth/permissions.ts'
import { MemoryBridge } from '../../src/bridge/memory-bridge.ts'
import { configFrom } from '../../src/config.ts'
import type { Hooks } from '../../src/hooks/hooks.ts'
import { HeldRequests } from '../../src/hub/held-requests.ts'
import { Hub } from '../../src/hub/hub.ts'
import { ReadPump } from '../../src/hub/read-pump.ts'
import { MemoryPresence } from '../../src/presence/memory-presence.ts'
import { FakeSocket, turnEnd } from '../support/fake-socket.ts'

const log = { debug() {}, info() {}, warn() {}, error() {} }
const KIB = 1024

/** A hub that holds so many bytes, and whose publish hook answers when it is told to. */
function hubThatHolds(bytes: number) {
  const config = configFrom({})
  const clock = { steadyMs: () => 0, wallMs: () => 0 }
  const answers: (() => void)[] = []
  const hooks: Hooks = {
    publish: () => new Promise((resolve) => answers.push(() => resolve(undefined))),
  } as unknown as Hooks
  const bridge = new MemoryBridge(config, clock)
  const hub = new Hub({ bridge, presence: new MemoryPresence(), limits: config, log, clock, hooks })
  Object.assign(hub, { held: new HeldRequests(bytes) })
  t.teardown(() => hub.close())
  const connect = () => {
    const socket = new FakeSocket()
    const permissions = new Permissions({ join: ['*'], publish: ['*'], broadcast: true }, 'ada')
    const client = hub.connect(socket, { user: 'ada', permissions, expiresAt: Infinity })
    const limits = { messageRate: 0, messageBurst: 1 }
    const pump = new ReadPump(hub, client, { clock, log, limits, maxNesting: 16 })
    const say = (kib: number) =>
      pump.receive(Buffer.from(JSON.stringify({ type: 'message', content: 'x'.repeat(kib * KIB) })), false)
    return { client, pump, say, socket }
  }
  return { hub, connect, answers }
}

t.test('beyond half of it a client waits with its peer, and beyond all of it is closed', async (t) => {
  const { hub, connect, answers } = hubThatHolds(1000 * KIB)
  const [one, two, small] = [connect(), connect(), connect()]
  for (let n = 0; n < 4; n++) one.say(100)
  await turnEnd()
  t.equal(hub.held.isMuch, false)
  t.notOk(one.socket.isPaused, 'each may hold much while little is held in all')
  for (let n = 0; n < 2; n++) two.say(60)
  t.ok(hub.held.isMuch)
  t.ok(two.socket.isPaused, 'from now on it may not')
  t.ok(two.client.isOpen)
  for (let n = 0; n < 5; n++) one.say(100)
  t.notOk(one.client.isOpen, 'who goes on is closed')
  t.ok(two.client.isOpen)
  small.say(1)
  t.ok(small.client.isOpen, 'and who holds little is not')
  one.pump.end()
  t.equal(hub.held.isTooMuch, false, 'what a closed client has waiting is let go')
  for (let round = 0; round < 20; round++) {
    for (const answer of answers.splice(0)) answer()
    await turnEnd()
  }
  t.notOk(two.socket.isPaused, 'when all is done it is read again')
  t.match(hub.counters.requests, { message: 3 })
  t.equal(new HeldRequests(1).isMuch, false)
  hub.held.add(500 * KIB - 1)
  t.equal(hub.held.isMuch, false, 'nothing is left of it')
})
