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
  const startMs = performance.now()
  const fresh = await connect(server, 'fresh')
  await fresh.join('still-serving')
  await fresh.publish('still-serving', 'hello', { echo: true })
  await fresh.next((envelope) => envelope.type === 'message' && envelope.content === 'hello', 1_000)
  t.ok(performance.now() - startMs < 1_000, 'a new client is served within 1 s')
  if (bystander) {
    await fresh.join(room)
    const token = `ping-${fresh.id}`
    fresh.say(room, token)
    await bystander.next((envelope) => envelope.content === token, 250)
  }
  await fresh.close()
  await clientsAre(server, open)
  t.equal(server.stderr, '', 'nothing on stderr')
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
