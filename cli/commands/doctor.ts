import { Command, Option } from 'commander'
import { checkConnection, checkOrigins } from '../doctor/connection.ts'
import { checkHealth } from '../doctor/health.ts'
import { checkStream } from '../doctor/stream.ts'
import { type Finding, ok, report } from '../finding.ts'
import { address, count, duration } from '../values.ts'
import { signed } from './token.ts'

/** Longer than clocks are usually off, so that the clock is named and not the token. */
const TOKEN_S = 3 * 3600

interface Flags {
  token?: string
  origin?: string
  nodes?: number
  idle: number
  strict?: true
  json?: true
}

/** `roomcast doctor URL`: what is wrong between a client and its node, seen from outside. */
export function doctorCommand(): Command {
  return new Command('doctor')
    .description(
      'Look at a running server from outside, through its proxy: reach, TLS, health, clocks, upgrade headers, token, origin, ' +
        'buffering, idle time-out, nodes that do not know each other. Exit code 1 when something must be mended.',
    )
    .argument('<url>', 'where clients find it, as https://example.com', address)
    .addOption(
      new Option('--token <token>', 'a token; else one is signed as `roomcast token` does').env(
        'ROOMCAST_TOKEN',
      ),
    )
    .option('--origin <origin>', 'the origin of your pages, as https://example.com')
    .option('--nodes <n>', 'how many nodes there should be', count)
    .option('--idle <time>', 'how long to wait for a ping at most', duration, 40)
    .option('--strict', 'exit code 1 for warnings, too')
    .option('--json', 'the findings as JSON')
    .addHelpText('after', '\nExample:\n  $ roomcast doctor https://example.com --origin https://example.com')
    .action(async (url: string, flags: Flags) => {
      report(await examine(url, flags), flags)
    })
}

/** All that is found from outside. */
export async function examine(url: string, flags: Flags): Promise<Finding[]> {
  const token = flags.token ?? signed('doctor', { seconds: TOKEN_S })
  const { findings, goOn } = await checkHealth(url, flags.nodes)
  if (!goOn) return findings
  const options = { url, token, origin: flags.origin }
  const connection = await checkConnection({ ...options, idleMs: flags.idle * 1000 })
  // What refuses one refuses the others as well: one cause is named once.
  if (connection.some(({ name, level }) => level === 'fail' && name !== 'idle'))
    return [...findings, ...connection]
  const more = await Promise.all([checkStream(url, token), checkOrigins(options)])
  const all = [...findings, ...connection, ...more.flat()]
  return all.some(({ level }) => level !== 'ok') ? all : [...all, ok('doctor', 'nothing is wrong')]
}
