// Bounds in milliseconds are for an idle machine. On a busy one the kernel makes processes wait for a CPU: how long
// it did is known exactly, and is no fault of the server's.
import { readFileSync } from 'node:fs'

/** Starts a watch; the result gives the milliseconds that the server and this process have since waited for a CPU. */
export function cpuWait({ pid }: { pid: number }): () => number {
  const before = waitedMs(pid) + waitedMs(process.pid)
  return () => waitedMs(pid) + waitedMs(process.pid) - before
}

function waitedMs(pid: number): number {
  const [, waitedNs = '0'] = readFileSync(`/proc/${pid}/task/${pid}/schedstat`, 'utf8').split(' ')
  return Number(waitedNs) / 1e6
}
