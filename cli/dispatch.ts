import { Command, CommanderError } from 'commander'
import { ConfigError } from '../src/config.ts'
import { version } from '../src/version.ts'
import { commands } from './commands.ts'
import { Failure, USAGE } from './failure.ts'
import { plain } from './terminal.ts'

/** Runs the subcommand that the arguments name; options alone are the server's. */
export async function dispatch(args: string[]): Promise<void> {
  process.stdout.on('error', endWithReader)
  const [first = ''] = args
  const isServer = first.startsWith('-') && !/^(-h|--help|-V|--version)$/.test(first)
  const words = isServer ? ['serve', ...args] : args
  const [name = ''] = words
  const wanted = name === 'help' ? (words[1] ?? '') : name
  try {
    await (await programFor(wanted)).parseAsync(words, { from: 'user' })
  } catch (error) {
    fail(wanted, error)
  }
}

/** The program; of its subcommands only one is more than its name. */
async function programFor(wanted: string): Promise<Command> {
  const program = new Command('roomcast')
    .description('A self-hosted real-time hub. Without a command it starts the server.')
    .version(version)
    .exitOverride()
    .addHelpText('after', '\nExample:\n  $ roomcast token --user ada')
    .addHelpText(
      'after',
      '\nExit codes: 0 done, 1 failed or the answer is no, 2 wrong usage. Pages: docs/CLI.md',
    )
  for (const [name, { summary, load }] of Object.entries(commands)) {
    const command = name === wanted ? await load() : new Command(name)
    program.addCommand(command.summary(summary).exitOverride())
  }
  return program
}

function fail(name: string, error: unknown): void {
  // Commander has printed what is wrong.
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : USAGE
  else if (error instanceof Failure || error instanceof ConfigError) {
    process.stderr.write(`roomcast ${name}: ${error.message.split('\n').map(plain).join('\n')}\n`)
    process.exitCode = error instanceof Failure ? error.exitCode : 1
  } else throw error
}

/** `roomcast rooms | head`: nobody reads the rest. */
function endWithReader(error: NodeJS.ErrnoException): void {
  if (error.code === 'EPIPE') process.exit(0)
  throw error
}
