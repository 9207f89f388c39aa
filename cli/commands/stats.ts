import { setTimeout as delay } from 'node:timers/promises'
import { Command } from 'commander'
import { spanOf } from '../claim-steps.ts'
import type { Nodes } from '../cluster-words.ts'
import { Failure } from '../failure.ts'
import { LiveView } from '../live-view.ts'
import { type ApiFlags, addApiFlags, NodeApi } from '../node-api.ts'
import { jsonLine, plain, table } from '../terminal.ts'
import { duration } from '../values.ts'

interface Node {
  node: string
  version: string
  uptimeMs: number
  clients: number
  rooms: number
  bridge: { kind: string; state: string }
}

interface Cluster {
  cluster: Node[]
  clients: number
  nodes: Nodes
}

interface Flags extends ApiFlags {
  once?: true
  every: number
}

/** `roomcast stats`: all nodes, drawn anew in place; with --once, exit code 1 where one is missing or its bridge down. */
export function statsCommand(): Command {
  const command = new Command('stats')
    .description('Watch the cluster: each node with its clients, rooms and bridge. Ends with Ctrl-C.')
    .option('--once', 'say it once; exit code 1 when a node is missing or its bridge is down')
    .option('--every <time>', 'how often, in seconds', duration, 1)
    .addHelpText('after', '\nExample:\n  $ roomcast stats --once --json')
    .action(watch)
  return addApiFlags(command)
}

async function watch(flags: Flags): Promise<void> {
  const api = new NodeApi(flags)
  // The first answer must come; later the view says what is wrong, and goes on.
  let answer = await api.call<Cluster>({ path: '/cluster' })
  if (flags.once !== undefined) {
    process.stdout.write(said(answer, flags))
    if (!isWhole(answer)) process.exitCode = 1
    return
  }
  const stop = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort())
  const view = new LiveView()
  let fault = ''
  while (!stop.signal.aborted) {
    if (flags.json === undefined) view.draw(`${said(answer, flags)}${fault}`)
    else if (fault === '') process.stdout.write(said(answer, flags))
    await delay(flags.every * 1000, undefined, { signal: stop.signal }).catch(() => {})
    try {
      answer = await api.call<Cluster>({ path: '/cluster' })
      fault = ''
    } catch (error) {
      if (!(error instanceof Failure)) throw error
      fault = plain(`as of before: ${error.message}`)
    }
  }
  view.end()
}

function said(answer: Cluster, { json }: Flags): string {
  if (json !== undefined) return jsonLine(answer)
  const { cluster, clients, nodes } = answer
  const rows = cluster.map(({ node, version, uptimeMs, clients: own, rooms, bridge }) => [
    ...[node, version, spanOf(uptimeMs / 1000), own, rooms],
    `${bridge.kind} ${bridge.state}`,
  ])
  const missing = nodes.missing.length === 0 ? '' : `, missing: ${nodes.missing.join(', ')}`
  const seen = plain(`${clients} clients on ${nodes.answered} of ${nodes.asked} nodes${missing}`)
  return `${seen}\n\n${table(['node', 'version', 'up', 'clients', 'rooms', 'bridge'], rows)}`
}

function isWhole({ cluster, nodes }: Cluster): boolean {
  return nodes.missing.length === 0 && cluster.every(({ bridge }) => bridge.state === 'up')
}
