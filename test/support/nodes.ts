// Several nodes on one Redis, and how a test proves across them that nothing more is to come.

import { Redis } from 'ioredis'
import type { Test } from 'tap'
import type { Client, Envelope } from './client.ts'
import type { TestRedis } from './redis.ts'
import { type Env, type Server, startServer } from './server.ts'
import { pace, pollUntil } from './until.ts'

/** Both members of it, clients of different nodes can wait for each other. */
const FENCE_ROOM = 'fence'

/** Starts that many nodes, which know of each other when this resolves; they are ended with the test. */
export async function startNodes(t: Test, count: number, env: Env): Promise<Server[]> {
  const nodes = await Promise.all(
    Array.from({ length: count }, () => startServer({ MESSAGE_RATE: '0', CONNECT_RATE_MAX: '0', ...env })),
  )
  t.teardown(() => Promise.all(nodes.map((node) => node.stop())))
  await Promise.all(nodes.map((node) => nodesAre(node, count)))
  return nodes
}

/** The node counts so many, itself included, and its bridge is up. */
export async function nodesAre(node: Server, count: number, deadlineMs = 15_000): Promise<void> {
  await pollUntil(
    `${count} nodes`,
    async () => {
      const { cluster, status } = await node.health()
      return status === 'healthy' && (cluster as { nodes: number }).nodes === count
    },
    deadlineMs,
  )
}

/** To be called for every client that is to be fenced across nodes. */
export async function joinFence(...clients: Client[]): Promise<void> {
  await Promise.all(clients.map((client) => client.join(FENCE_ROOM)))
}

let marks = 0

/**
 * What `to` has not read yet, up to a mark that `from`, a client of any node, publishes now: messages that a node has
 * published before are ahead of it.
 */
export async function fenceAcross(from: Client, to: Client, deadlineMs = 10_000): Promise<Envelope[]> {
  const mark = `mark-${++marks}`
  const { scope } = await from.publish(FENCE_ROOM, mark, { echo: from === to })
  if (scope !== 'cluster') throw new Error(`the mark went no further than its node`)
  const got = await to.collectUntil(({ content }) => content === mark, deadlineMs)
  return got.filter(({ type, room }) => !(type === 'message' && room === FENCE_ROOM))
}

/** Pauses Redis for `ms`, again and again; resolves with what ends that. */
export async function pauseAgainAndAgain(
  redis: TestRedis,
  ms: number,
  everyMs: number,
): Promise<() => Promise<void>> {
  const client = new Redis(redis.port, { enableReadyCheck: false, retryStrategy: null })
  client.on('error', () => {})
  let isOn = true
  const pauses = (async () => {
    while (isOn) {
      await client.client('PAUSE', ms, 'ALL')
      await pace(everyMs)
    }
  })()
  return async () => {
    isOn = false
    await pauses
    // Answered after the last pause.
    await client.ping()
    client.disconnect()
  }
}

/** Counts what is published, by channel, as `PSUBSCRIBE *` sees it. */
export async function watchChannels(t: Test, redis: TestRedis) {
  const client = new Redis(redis.port, { retryStrategy: null })
  client.on('error', () => {})
  t.teardown(() => client.disconnect())
  const counts = new Map<string, number>()
  client.on('pmessage', (_pattern, channel: string) => counts.set(channel, (counts.get(channel) ?? 0) + 1))
  await client.psubscribe('*')
  return counts
}
