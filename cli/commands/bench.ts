import { Command, Option } from 'commander'
import { BenchRun, type BenchState, type Latencies } from '../bench-run.ts'
import { misused } from '../failure.ts'
import { LiveView } from '../live-view.ts'
import { LOCAL } from '../node-api.ts'
import { table } from '../terminal.ts'
import { address, count, duration, room } from '../values.ts'
import { signed } from './token.ts'

const EVERY_MS = 500

interface Flags {
  url: string
  token?: string
  rooms: number
  members: number
  rate: number
  size: number
  time: number
  keep: boolean
  prefix: string
  json?: true
}

/** `roomcast bench`: a load against any roomcast; exit code 1 when something was lost, refused or cut. */
export function benchCommand(): Command {
  return new Command('bench')
    .description(
      'Put a load on a server: clients join rooms, one of each room publishes, and the time until each message is there ' +
        'is taken. Exit code 1 when a message was lost or refused, or a client cut. This process and the machine have ' +
        'their limits, too: some 20,000 deliveries a second.',
    )
    .addOption(
      new Option('--url <address>', 'where a node is').env('ROOMCAST_URL').default(LOCAL).argParser(address),
    )
    .addOption(
      new Option(
        '--token <token>',
        'a token for all clients; else each has one, as `roomcast token` signs',
      ).env('ROOMCAST_TOKEN'),
    )
    .option('--rooms <n>', 'rooms', count, 10)
    .option('--members <n>', 'clients in each room, the one that publishes included', count, 10)
    .option('--rate <n>', 'messages a second, in all rooms together', count, 100)
    .option('--size <bytes>', 'text in each message', count, 100)
    .option('--time <time>', 'how long', duration, 10)
    .option('--no-keep', 'messages that are delivered and forgotten')
    .option('--prefix <text>', 'how the names of the rooms begin', room, 'bench.')
    .option('--json', 'the summary as JSON')
    .addHelpText('after', '\nExample:\n  $ roomcast bench --rooms 100 --members 10 --rate 500 --time 30s')
    .action(bench)
}

async function bench(flags: Flags): Promise<void> {
  const { members, time: seconds, token, json, ...rest } = flags
  if (members < 2) throw misused('--members is 2 or more: one publishes, the others get it')
  const run = new BenchRun({
    ...{ ...rest, members, seconds },
    tokenFor: (index) => token ?? signed(`bench-${index}`, { seconds: seconds + 3600 }),
  })
  const stop = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort())
  const view = new LiveView()
  const startMs = performance.now()
  const isShown = json === undefined && process.stdout.isTTY === true
  const timer = setInterval(() => isShown && view.draw(progress(run.state, startMs)), EVERY_MS)
  try {
    await run.run(stop.signal)
  } finally {
    clearInterval(timer)
    if (isShown) view.draw(progress(run.state, startMs))
    view.end()
  }
  const { state } = run
  process.stdout.write(json === undefined ? summary(state) : `${JSON.stringify(figures(state))}\n`)
  if (lost(state) + state.refused + state.cut > 0) process.exitCode = 1
}

const lost = ({ due, delivered }: BenchState) => Math.max(0, due - delivered)

function progress(state: BenchState, startMs: number): string {
  const { phase, connected, clients, published, delivered } = state
  const seconds = Math.round((performance.now() - startMs) / 1000)
  return `${seconds} s, ${phase}: ${connected} of ${clients} clients, ${published} published, ${delivered} delivered, p99 ${rounded(state.latencies.percentile(99))} ms`
}

const rounded = (ms: number) => (ms < 10 ? Number(ms.toFixed(2)) : Math.round(ms))
const spread = (all: Latencies) => ({
  p50: rounded(all.percentile(50)),
  p95: rounded(all.percentile(95)),
  p99: rounded(all.percentile(99)),
  max: rounded(all.max),
})

function figures(state: BenchState) {
  const { clients, published, acked, due, delivered, refused, cut, latencies, acks } = state
  const counts = { clients, published, acked, due, delivered, lost: lost(state), refused, cut }
  return { ...counts, deliveryMs: spread(latencies), ackMs: spread(acks) }
}

function summary(state: BenchState): string {
  const { deliveryMs, ackMs, ...counts } = figures(state)
  const rows = [
    ['delivery', ...Object.values(deliveryMs)],
    ['ack', ...Object.values(ackMs)],
  ]
  const words = Object.entries(counts).map(([name, value]) => `${value} ${name}`)
  return `${words.join(', ')}\n\n${table(['ms', 'p50', 'p95', 'p99', 'max'], rows)}`
}
