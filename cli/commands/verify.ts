import { Command } from 'commander'
import { pino } from 'pino'
import { configFromEnv } from '../../src/config.ts'
import { withKeyMaterial } from '../../src/service.ts'
import { readInput } from '../input.ts'
import { addSettingFlags, applySettingFlags } from '../setting-flags.ts'
import { coloured, plain } from '../terminal.ts'
import { inspectToken, type TokenReport } from '../token-report.ts'

const ofTokens = (key: string) => key.startsWith('jwt') || key === 'jwksUrl' || key === 'defaultCan'

/** `roomcast verify TOKEN`: exit code 0 for a token that a server with these settings takes, 1 for others. */
export function verifyCommand(): Command {
  const command = new Command('verify')
    .description(
      'Say whether a server with the settings of this environment takes a token, and look at its form, key, signature ' +
        'and claims one by one.',
    )
    .argument('<token>', 'the token, or - to read it from standard input')
    .option('--json', 'the report as JSON')
    .addHelpText('after', '\nExample:\n  $ JWT_SECRET=… roomcast verify eyJhbGciOi…')
    .action(verify)
  return addSettingFlags(command, ofTokens)
}

async function verify(given: string, flags: Record<string, unknown>): Promise<void> {
  applySettingFlags(flags)
  const token = (given === '-' ? await readInput() : given).trim()
  const { config } = withKeyMaterial(configFromEnv())
  const report = await inspectToken(token, config, pino({ level: 'silent' }))
  process.stdout.write(flags.json === true ? `${JSON.stringify(report, null, 2)}\n` : asText(report))
  if (!report.holds) process.exitCode = 1
}

function asText({ holds, reason, user, steps }: TokenReport): string {
  const lines = steps.map(({ name, ok, text }) => {
    const mark = ok ? coloured('green', 'ok  ') : coloured('red', 'no  ')
    return `${mark} ${name.padEnd(9)} ${plain(text)}`
  })
  const verdict = holds
    ? coloured('green', `The token holds, for the user ${plain(user ?? '')}.`)
    : coloured('red', `The token is refused: ${plain(reason ?? '')}.`)
  return `${lines.join('\n')}\n${verdict}\n`
}
