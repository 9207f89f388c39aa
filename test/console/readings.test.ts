// What the console's charts make of the figures that nodes have counted.
import t from 'tap'
import type { Cluster } from '../../console/src/answers.ts'
import { quantile, Readings } from '../../console/src/readings.ts'

type Node = Cluster['cluster'][number]

function cluster(...nodes: Partial<Node>[]): Cluster {
  const whole = { version: '1', uptimeMs: 1, clients: 1, rooms: 1, bridge: { kind: 'memory', state: 'up' } }
  return {
    cluster: nodes.map((one, at) => ({ node: `n${at}`, ...whole, ...one }) as Node),
    clients: nodes.length,
    scope: 'cluster',
    nodes: { asked: nodes.length, answered: nodes.length, missing: [] },
  }
}

t.test('rates are of the time between, without nodes that come and begin anew', async (t) => {
  const readings = new Readings()
  t.equal(readings.take(cluster({ published: 100 }), 0).published, undefined)
  t.equal(readings.take(cluster({ published: 120 }, { published: 5000 }), 2000).published, 10)
  t.equal(readings.take(cluster({ published: 3 }, { published: 5010 }), 4000).published, 5)
})

t.test('round trips are those of the last half minute, or else of all time', async (t) => {
  const readings = new Readings()
  const trips = (...counts: number[]) => cluster({ roundTrips: { boundsMs: [10, 100], counts } })
  t.same(readings.take(trips(0, 0, 0), 0).roundTripMs, { half: undefined, most: undefined })
  t.same(readings.take(trips(10, 0, 0), 2000).roundTripMs, { half: 5, most: 9.9 })
  for (let atMs = 4000; atMs <= 40_000; atMs += 2000) readings.take(trips(10, 0, 0), atMs)
  t.equal(readings.take(trips(10, 2, 0), 42_000).roundTripMs.half, 55, 'the new ones alone')
  t.equal(new Readings().take(trips(10, 0, 0), 0).roundTripMs.half, 5)
})

t.test('the worst loop of all nodes; older nodes tell of none', async (t) => {
  const readings = new Readings()
  t.equal(readings.take(cluster({}, {}), 0).loopHeldMs, undefined)
  t.equal(readings.take(cluster({ loopHeldMs: 3 }, { loopHeldMs: 7 }, {}), 1).loopHeldMs, 7)
})

t.test('above all bounds it is the last of them that is told', async (t) => {
  t.equal(quantile([10, 100], [0, 0, 4], 0.5), 100)
  t.equal(quantile([10, 100], [0, 0, 0], 0.5), undefined)
})
