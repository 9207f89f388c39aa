// Case B40: a message that another node publishes at the very moment of `joined`.
import { randomUUID } from 'node:crypto'
import { connect, type Envelope } from './client.ts'
import { inBatches } from './crowd.ts'
import type { Server } from './server.ts'
import { pace } from './until.ts'

const DEADLINE_MS = 15_000

export interface Races {
  /** How many of the messages arrived. */
  received: number
  /** Joins that said that they hold on their node only. */
  nodeScoped: number
  /** Everything that was neither, as text. */
  faults: string[]
}

/**
 * `rounds` times C, a client of `there`, joins a new room, and A, a member at `here`, sends one message the moment
 * `joined` is read; so many rounds go on at a time.
 */
export async function firstMessages(
  here: Server,
  there: Server,
  rounds: number,
  atATime = 1,
): Promise<Races> {
  const races: Races = { received: 0, nodeScoped: 0, faults: [] }
  const salt = randomUUID()
  await inBatches(
    atATime,
    async (worker) => {
      const [a, c] = [await connect(here, `a${worker}`), await connect(there, `c${worker}`)]
      for (let n = worker; n < rounds; n += atATime) {
        const room = `q-${salt}-${n}`
        await a.join(room, DEADLINE_MS)
        c.onEnvelope = ({ type, scope }: Envelope) => {
          if (type !== 'joined') return
          if (scope === 'node') races.nodeScoped++
          a.say(room, n)
        }
        c.send({ type: 'join', room })
        await c
          .next(({ type, room: from }) => type === 'message' && from === room, DEADLINE_MS)
          .then(
            () => races.received++,
            ({ message }: Error) => races.faults.push(`${room}: ${message.slice(0, 200)}`),
          )
        c.send({ type: 'leave', room })
        await a.leave(room)
      }
      await Promise.all([a.close(), c.close()])
    },
    atATime,
  )
  return races
}

/**
 * The last member of many rooms at `there` leaves them, and another joins them over the time in which their
 * subscriptions are given back. A message sent from `here` the moment each `joined` is read must arrive.
 */
export async function lastLeaveFirstJoin(
  here: Server,
  there: Server,
  { rooms: count, fromMs, toMs }: { rooms: number; fromMs: number; toMs: number },
): Promise<Races> {
  const races: Races = { received: 0, nodeScoped: 0, faults: [] }
  const salt = randomUUID()
  const rooms = Array.from({ length: count }, (_, n) => `l-${salt}-${n}`)
  const [a, c, d] = [await connect(here, 'a'), await connect(there, 'c'), await connect(there, 'd')]
  for (const room of rooms) await Promise.all([a.join(room), c.join(room)])
  const leftMs = performance.now()
  for (const room of rooms) c.send({ type: 'leave', room })
  await c.fence(DEADLINE_MS)
  d.onEnvelope = ({ type, scope, room }: Envelope) => {
    if (type !== 'joined') return
    if (scope === 'node') races.nodeScoped++
    a.say(String(room), room)
  }
  for (const [n, room] of rooms.entries()) {
    const dueMs = leftMs + fromMs + ((toMs - fromMs) * n) / count
    if (dueMs > performance.now()) await pace(dueMs - performance.now())
    d.send({ type: 'join', room })
    // Some of them are emptied, and joined, once more at once.
    if (n % 3 === 0) {
      d.send({ type: 'leave', room })
      d.send({ type: 'join', room })
    }
  }
  const missing = new Set(rooms)
  for (const { type, room } of d.received) if (type === 'message') missing.delete(String(room))
  while (missing.size > 0) {
    try {
      const { room } = await d.next(
        ({ type, room }) => type === 'message' && missing.has(String(room)),
        DEADLINE_MS,
      )
      missing.delete(String(room))
    } catch (error) {
      races.faults.push(`${missing.size} rooms: ${(error as Error).message.slice(0, 200)}`)
      break
    }
  }
  races.received = count - missing.size
  await Promise.all([a.close(), c.close(), d.close()])
  return races
}
