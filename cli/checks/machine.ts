import { createReadStream } from 'node:fs'
import { createServer } from 'node:net'
import { availableParallelism } from 'node:os'
import { createInterface } from 'node:readline'
import { getHeapStatistics } from 'node:v8'
import type { Config } from '../../src/config.ts'
import { readLimit } from '../../src/descriptors.ts'
import { type Finding, fail, ok, warn } from '../finding.ts'

/** Descriptors that the server needs beside its clients. */
const OWN = 128

/** Descriptors, processors and memory. */
export function checkMachine({ maxClients, workers, historyTotalBytes, redisUrl }: Config): Finding[] {
  const found: Finding[] = []
  const { limit } = readLimit()
  if (limit < maxClients + OWN)
    found.push(
      (limit < 1024 + OWN ? fail : warn)(
        'descriptors',
        `the limit on open files is ${limit}, and MAX_CLIENTS (${maxClients}) needs ${maxClients + OWN}`,
        `raise it (ulimit -n, LimitNOFILE=${maxClients + OWN}), or set MAX_CLIENTS=${Math.max(1, limit - OWN)}`,
      ),
    )
  else found.push(ok('descriptors', `the limit of ${limit} does for ${maxClients} clients`))
  const processors = availableParallelism()
  if (workers > processors)
    found.push(
      warn('workers', `${workers} share ${processors} processors`, `set WORKERS=${processors} or less`),
    )
  const heap = getHeapStatistics().heap_size_limit
  if (redisUrl === undefined && historyTotalBytes > heap)
    found.push(
      fail(
        'memory',
        `HISTORY_TOTAL_BYTES may take ${toMib(historyTotalBytes)} MiB, and Node has a heap of ${toMib(heap)}`,
        'lower it, or give Node --max-old-space-size',
      ),
    )
  return found
}

const toMib = (bytes: number) => Math.round(bytes / 2 ** 20)

/** Whether the server could listen; it may well be running already. */
export async function checkPort({ host, port }: Config): Promise<Finding[]> {
  if (port === 0) return []
  const code = await new Promise<string>((resolve) => {
    const server = createServer()
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
    server.listen(port, host, () => server.close(() => resolve('')))
  })
  if (code === '') return [ok('port', `${host}:${port} is free`)]
  if (code === 'EADDRINUSE') return [await neighbour(host, port)]
  const mends: Record<string, string> = {
    EACCES: 'take a port from 1024, or give the process CAP_NET_BIND_SERVICE',
    EADDRNOTAVAIL: 'set HOST to an address of this machine, 0.0.0.0 or ::',
    ENOTFOUND: 'set HOST to an address of this machine, 0.0.0.0 or ::',
  }
  return [fail('port', `${host}:${port} cannot be listened at: ${code}`, mends[code] ?? 'see HOST and PORT')]
}

/** Who has the port. */
async function neighbour(host: string, port: number): Promise<Finding> {
  const near = /^(0\.0\.0\.0|::)$/.test(host) ? '127.0.0.1' : host
  const address = `http://${near.includes(':') ? `[${near}]` : near}:${port}`
  try {
    const response = await fetch(`${address}/health`, { signal: AbortSignal.timeout(3000) })
    const { node } = (await response.json()) as { node?: unknown }
    if (typeof node === 'string') return ok('port', `${address} is a roomcast that runs`)
  } catch {
    // No roomcast, then.
  }
  return fail('port', `another program has ${host}:${port}`, 'set another PORT, or end that program')
}

/** Whether an access log has tokens in it, as a proxy writes when it is not told otherwise. */
export async function checkAccessLog(file: string): Promise<Finding[]> {
  const name = 'access log'
  try {
    let tokens = 0
    for await (const line of createInterface({ input: createReadStream(file) }))
      if (/[?&]token=ey[\w-]+\.[\w-]+/.test(line)) tokens++
    if (tokens === 0) return [ok(name, `no token is in ${file}`)]
    const mend =
      'log the path without the query (nginx: $uri for $request), or send tokens as a subprotocol; then delete it'
    return [
      fail(name, `${tokens} lines of ${file} have a token in them: whoever reads it can be that user`, mend),
    ]
  } catch (error) {
    return [fail(name, (error as Error).message, 'name a file that can be read')]
  }
}
