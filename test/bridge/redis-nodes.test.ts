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

t.test('a node that says no version is of this one, and counts until it falls silent', async (t) => {
  const { nodes, hear, state } = setUp()
  nodes.hear(Buffer.from(nodes.announcement('own', 1)))
  hear('new', { version: 2 })
  t.equal(hear('old'), 'old')
  t.strictSame(nodes.count('own', 1), { nodes: 3, clients: 11 })
  state.nowMs += 10_001
  nodes.sweep()
  t.strictSame(nodes.count('own', 1), { nodes: 1, clients: 1 })
})

t.test('nodes that do not understand this one are not counted among it, and said', async (t) => {
  const { nodes, hear } = setUp()
  hear('next', { version: 3 })
  t.strictSame(nodes.count('own', 1), { nodes: 2, clients: 6 }, 'the next version reads this one')
  hear('before', { version: 1 })
  t.strictSame(nodes.count('own', 1), { nodes: 3, clients: 11 })
  hear('far', { version: 4 })
  t.strictSame(nodes.count('own', 1), { nodes: 3, clients: 11, foreignNodes: 1 })
})
