// The kernel's own list of TCP connections, as `ss` shows it.
import { existsSync, readFileSync } from 'node:fs'

const states = { '01': 'established', '08': 'close-wait' } as const
export type TcpState = (typeof states)[keyof typeof states]

/** How many connections at the server's port are in this state; `pid` names the process whose namespace it is. */
export function tcpCount(port: number, state: TcpState, pid: number | 'self' = 'self'): number {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, '0')}`
  let count = 0
  for (const file of [`/proc/${pid}/net/tcp`, `/proc/${pid}/net/tcp6`]) {
    if (!existsSync(file)) continue
    for (const line of readFileSync(file, 'utf8').split('\n')) {
      const [, local = '', , code = ''] = line.trim().split(/\s+/)
      if (local.endsWith(suffix) && states[code as keyof typeof states] === state) count++
    }
  }
  return count
}
