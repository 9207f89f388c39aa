import { Command } from 'commander'
import { environment } from '../../src/config.ts'
import { checkBackEnds } from '../checks/back-ends.ts'
import { ownClock } from '../checks/clock.ts'
import { checkAccessLog, checkMachine, checkPort } from '../checks/machine.ts'
import { checkRedis } from '../checks/redis.ts'
import { checkSettings, readSettings, type Surroundings } from '../checks/settings.ts'
import { type Finding, report } from '../finding.ts'
import { addSettingFlags, applySettingFlags } from '../setting-flags.ts'
import { duration } from '../values.ts'

interface Flags {
  origin?: string
  proxy?: string
  idleTimeout?: number
  accessLog?: string
  strict?: true
  json?: true
}

/** `roomcast check`: what is wrong with the settings, Redis and the machine, and how to mend it. */
export function checkCommand(): Command {
  const command = new Command('check')
    .description(
      'Look for what is wrong before a start: settings, keys, Redis, permissions, eviction, clocks, descriptors, the proxy. ' +
        'Exit code 1 when something must be mended. It starts nothing and changes nothing.',
    )
    .option('--origin <origin>', 'a page that must be able to connect, as https://example.com')
    .option('--proxy <address>', 'the address of your proxy, as the server sees it')
    .option('--idle-timeout <time>', "the proxy's idle time-out, as 60s", duration)
    .option('--access-log <file>', "the proxy's access log, to look for tokens in it")
    .option('--strict', 'exit code 1 for warnings, too')
    .option('--json', 'the findings as JSON')
    .addHelpText('after', '\nExample:\n  $ roomcast check --origin https://example.com --proxy 10.0.0.5')
    .action(async (flags: Flags) => {
      applySettingFlags(flags as Record<string, unknown>)
      report(await findings(environment(), flags), flags)
    })
  return addSettingFlags(command)
}

/** All that the checks find, with these variables. */
export async function findings(env: NodeJS.ProcessEnv, flags: Flags = {}): Promise<Finding[]> {
  const { origin, proxy, idleTimeout, accessLog } = flags
  const around: Surroundings = {
    ...(origin !== undefined && { origin }),
    ...(proxy !== undefined && { proxy }),
    ...(idleTimeout !== undefined && { idleTimeoutS: idleTimeout }),
  }
  const read = readSettings(env)
  const log = accessLog === undefined ? [] : await checkAccessLog(accessLog)
  const { config } = read
  if (config === undefined) return [...read.findings, ...ownClock(), ...log]
  const others = await Promise.all([checkRedis(config), checkBackEnds(config), checkPort(config)])
  return [
    ...read.findings,
    ...checkSettings(config, around),
    ...ownClock(),
    ...checkMachine(config),
    ...others.flat(),
    ...log,
  ]
}
