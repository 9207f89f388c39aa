// The kernel's own list of TCP connections, as `ss` shows it; for servers on 127.0.0.1.
import { readFileSync } from 'node:fs'

const codes = { established: '01', 'close-wait': '08' } as const
export type TcpState = keyof typeof codes

interface Row {
  local: string
  remote: string
  code: string
  /** Bytes sent and not yet acknowledged, and received and not yet read. */
  unsent: number
  unread: number
}

function rows(): Row[] {
  const [, ...lines] = readFileSync('/proc/self/net/tcp', 'utf8').trim().split('\n')
  return lines.map((line) => {
    const [, local = '', remote = '', code = '', queues = ''] = line.trim().split(/\s+/)
    const [unsent = 0, unread = 0] = queues.split(':').map((hex) => Number.parseInt(hex, 16))
    return { local, remote, code, unsent, unread }
  })
}

/** The address with it: a client on another one may have got the same port. */
function endpoint(port: number): string {
  return `0100007F:${port.toString(16).toUpperCase().padStart(4, '0')}`
}

/** How many of the server's connections are in this state. */
export function tcpCount(port: number, state: TcpState): number {
  const server = endpoint(port)
  return rows().filter(({ local, code }) => local === server && code === codes[state]).length
}

/** Bytes that were sent to the server and that it has not read. */
export function tcpUnread(port: number): number {
  const server = endpoint(port)
  return rows().reduce(
    (sum, { local, remote, unsent, unread }) =>
      sum + (local === server ? unread : 0) + (remote === server ? unsent : 0),
    0,
  )
}
