// What nodes know of each other, also of nodes of other versions.
import t from 'tap'
import { RedisNodes } from '../../src/bridge/redis-nodes.ts'

function setUp() {
  const state = { nowMs: 0 }
  const clock = { steadyMs: () => state.nowMs, wallMs: () => state.nowMs }
  const nodes = new RedisNodes(clock)
  const hear = (node: string, more: object = {}) =>
    nodes.hear(Buffer.from(JSON.stringify({ node, clients: 5, ...more })))
  return { nodes, hear, state }
}

t.test('a node that says no version is of the one before, counts, and is spoken to in its own', async (t) => {
  const { nodes, hear, state } = setUp()
  t.equal(nodes.payloadVersion, '3')
  nodes.hear(Buffer.from(nodes.announcement('own', 1)))
  hear('new', { version: 3 })
  t.equal(nodes.payloadVersion, '3')
  t.equal(hear('old'), 'old')
  t.equal(nodes.payloadVersion, '2')
  t.strictSame(nodes.count('own', 1), { nodes: 3, clients: 11 })
  state.nowMs += 10_001
  nodes.sweep()
  t.equal(nodes.payloadVersion, '3', 'when the last old one is gone, the present version is spoken')
  t.strictSame(nodes.count('own', 1), { nodes: 1, clients: 1 })
})

t.test('nodes that do not understand this one are not counted among it, and said', async (t) => {
  const { nodes, hear } = setUp()
  hear('next', { version: 4 })
  t.strictSame(nodes.count('own', 1), { nodes: 2, clients: 6 }, 'the next version reads this one')
  t.equal(nodes.payloadVersion, '3')
  hear('ancient', { version: 1 })
  hear('far', { version: 5 })
  t.strictSame(nodes.count('own', 1), { nodes: 2, clients: 6, foreignNodes: 2 })
})
