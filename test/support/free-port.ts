// Ports for servers that cannot be asked which one they took, or that must come back on the same one.
import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:net'

// With the Cluster bus port 10,000 above: below what the kernel gives to outgoing connections (from 32,768), one of
// which would take the port meanwhile.
const FIRST_PORT = 12_000
const PORTS = 10_000
const BUS = 10_000

const given = new Set<number>()

/** A port that nobody listens on just now, and nobody else here is given. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = FIRST_PORT + randomInt(PORTS)
    if (given.has(port) || !(await isFree(port)) || !(await isFree(port + BUS))) continue
    given.add(port)
    return port
  }
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer()
  try {
    server.listen(port, '127.0.0.1')
    await once(server, 'listening')
  } catch {
    return false
  }
  server.close()
  await once(server, 'close')
  return true
}
