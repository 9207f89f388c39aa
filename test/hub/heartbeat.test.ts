import t, { type Test } from 'tap'
import { Heartbeat, Pulse, type Watched } from '../../src/hub/heartbeat.ts'

const times = { pingIntervalMs: 1000, pongTimeoutMs: 500 }

class ManualClock {
  now = 1_000_000
  steadyMs = () => this.now
  wallMs = () => this.now
}

/** A client that never answers. */
function silentClient(): Watched & { silent: boolean } {
  return {
    pulse: new Pulse(),
    expiresAt: Infinity,
    silent: false,
    lifeSign: () => 0,
    sendPing() {
      this.pulse.pings++
    },
    onExpired() {},
    onSilent() {
      this.silent = true
    },
  }
}

function setUp() {
  // The heartbeat's own timer keeps no process up.
  const alive = setInterval(() => {}, 1000)
  t.teardown(() => clearInterval(alive))
  const clock = new ManualClock()
  const heartbeat = new Heartbeat(times, clock)
  t.teardown(() => heartbeat.stop())
  /** Turns the clock on, and resolves when the heartbeat has seen it. */
  const step = async (ms: number) => {
    clock.now += ms
    // One that is due at the next tick, in which the wheel sees those before it first.
    clock.now = Math.ceil(clock.now / 100) * 100
    await new Promise<void>((resolve) => {
      heartbeat.watch({ ...silentClient(), pulse: new Pulse(), expiresAt: clock.now, onExpired: resolve })
      clock.now += 100
    })
  }
  return { heartbeat, step }
}

/** A client that has just been pinged, and does not answer. */
async function pinged(t: Test) {
  const { heartbeat, step } = setUp()
  const client = silentClient()
  heartbeat.watch(client)
  await step(900)
  t.equal(client.pulse.pings, 1)
  return { client, step }
}

t.test('a peer that is silent after a ping is ended in time', async (t) => {
  const { client, step } = await pinged(t)
  await step(300)
  t.notOk(client.silent)
  await step(100)
  t.ok(client.silent)
})

t.test(
  'a process that was stopped gives its peers the time anew: their answers may lie unread',
  async (t) => {
    const { client, step } = await pinged(t)
    await step(60_000)
    t.notOk(client.silent, 'not at once')
    await step(300)
    t.notOk(client.silent)
    await step(200)
    t.ok(client.silent, 'but silence is silence')
  },
)
