// Bounds in milliseconds are for an idle machine. On a busy one the kernel makes processes wait for a CPU: how long
// it did is known exactly, and is no fault of the server's.
import { readFileSync } from 'node:fs'
import type { Health, Server } from './server.ts'

/** Starts a watch; the result gives the milliseconds that the server and this process have since waited for a CPU. */
export function cpuWait({ pid }: { pid: number }): () => number {
  const before = waitedMs(pid) + waitedMs(process.pid)
  return () => waitedMs(pid) + waitedMs(process.pid) - before
}

function waitedMs(pid: number): number {
  const [, waitedNs = '0'] = readFileSync(`/proc/${pid}/task/${pid}/schedstat`, 'utf8').split(' ')
  return Number(waitedNs) / 1e6
}

/** One look at /health and the milliseconds it took, without those that were spent waiting for a CPU. */
export async function timedHealth(server: Server): Promise<{ health: Health; ms: number }> {
  const waited = cpuWait(server)
  const startMs = performance.now()
  const health = await server.health('/health', 10_000)
  return { health, ms: Math.max(0, performance.now() - startMs - waited()) }
}
