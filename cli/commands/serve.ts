import { Command } from 'commander'
import { addSettingFlags, applySettingFlags } from '../setting-flags.ts'

/** `roomcast serve`: the server, with any setting as a flag. */
export function serveCommand(): Command {
  const command = new Command('serve')
    .description(
      'Start the server. Settings come from environment variables (docs/SETTINGS.md); a flag goes before its variable. ' +
        'Others on the machine can read the flags of a process: give secrets as variables.',
    )
    .addHelpText(
      'after',
      '\nExample:\n  $ roomcast serve --port 9000 --workers 2 --redis-url redis://127.0.0.1',
    )
    .action(async (flags: Record<string, unknown>) => {
      applySettingFlags(flags)
      await import('../../src/server.ts')
    })
  return addSettingFlags(command)
}
