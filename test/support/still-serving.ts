// "Same PID" of the cases: after a stimulus the process lives, serves new clients, and counts right.
import type { Test } from 'tap'
import { type Client, connect } from './client.ts'
import type { Server } from './server.ts'
import { pollUntil } from './until.ts'

/**
 * A new client connects, joins and gets a message within 1 s; the bystander (a member of `room`) still gets
 * messages within 250 ms; /health counts `open` clients within 1 s; nothing is on stderr.
 */
export async function stillServing(
  t: Test,
  server: Server,
  { bystander, room = 'r', open }: { bystander?: Client; room?: string; open: number },
): Promise<void> {
  t.ok(server.alive, 'same PID')
  const { result: fresh, tookMs } = await fastest(
    1_000,
    async () => {
      const client = await connect(server, 'fresh')
      await client.join('still-serving')
      await client.publish('still-serving', client.id, { echo: true })
      await client.next(({ content }) => content === client.id)
      return client
    },
    (client) => client.close(),
  )
  t.ok(tookMs < 1_000, 'a new client is served within 1 s')
  if (bystander) {
    await fresh.join(room)
    let n = 0
    const delivery = await fastest(250, async () => {
      const token = `${fresh.id} ${++n}`
      fresh.say(room, token)
      await bystander.next(({ content }) => content === token)
    })
    t.ok(delivery.tookMs < 250, 'a bystander gets a message within 250 ms')
  }
  await fresh.close()
  await clientsAre(server, open)
  t.equal(server.stderr, '', 'nothing on stderr')
}

/**
 * Times `work`, up to three times while it takes longer than `boundMs`: the bound is the server's, and other tests
 * may have the machine. `undo` is for the results that are not returned.
 */
async function fastest<T>(
  boundMs: number,
  work: () => Promise<T>,
  undo?: (result: T) => Promise<void>,
): Promise<{ result: T; tookMs: number }> {
  for (let attempt = 1; ; attempt++) {
    const startMs = performance.now()
    const result = await work()
    const tookMs = performance.now() - startMs
    if (tookMs < boundMs || attempt === 3) return { result, tookMs }
    await undo?.(result)
  }
}

/** /health counts `clients` (and `rooms`) within the deadline, 1 s by convention. */
export async function clientsAre(
  server: Server,
  clients: number,
  { rooms, deadlineMs = 1_000 }: { rooms?: number; deadlineMs?: number } = {},
): Promise<void> {
  let last = ''
  await pollUntil(
    `/health counts ${clients} clients${rooms === undefined ? '' : ` and ${rooms} rooms`}`,
    async () => {
      const health = await server.health()
      last = JSON.stringify(health)
      return health.clients === clients && (rooms === undefined || health.rooms === rooms)
    },
    deadlineMs,
  ).catch((error: Error) => {
    throw new Error(`${error.message}; last answer ${last}`)
  })
}
