// Thousands of cheap clients, in processes of their own: plain sockets that join, answer pings, and talk a little.
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import type { Test } from 'tap'
import type { Server } from './server.ts'

const CLIENTS_A_PROCESS = 5000

/** What a process of the farm is told. */
export interface FarmOrder {
  port: number
  /** The clients have these numbers; each is user `user-<number>`. */
  from: number
  count: number
  /** Client n is in `team-<n modulo this>`, and all are in the lobby. */
  teams: number
  /** The first so many are in the room firehose too, and stop reading once they are members. */
  deaf: number
  /** Messages a second that the others send to their teams. */
  talk: number
}

/** Opens them, and resolves when all are members; they end with the test. */
export async function openFarm(
  t: Test,
  server: Server,
  { count, ...order }: Omit<FarmOrder, 'port' | 'from'>,
): Promise<void> {
  const children: ChildProcess[] = []
  for (let from = 0; from < count; from += CLIENTS_A_PROCESS) {
    const child = fork(new URL('socket-farm-child.ts', import.meta.url), { execArgv: ['--import', 'tsx'] })
    children.push(child)
    t.teardown(() => child.kill('SIGKILL'))
    const some = Math.min(CLIENTS_A_PROCESS, count - from)
    child.send({ ...order, port: server.port, from, count: some } satisfies FarmOrder)
  }
  await Promise.all(
    children.map(async (child) => {
      const [said] = await Promise.race([once(child, 'message'), once(child, 'exit')])
      if (said !== 'joined') throw new Error(`a process of the farm ended: ${said}`)
    }),
  )
}
