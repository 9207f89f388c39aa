import { Command } from 'commander'
import { type Explanation, explain, explanations } from '../explanations.ts'
import { Failure } from '../failure.ts'
import { coloured } from '../terminal.ts'

/** `roomcast explain CODE`: what the documents' tables say of it; exit code 1 where they say nothing. */
export function explainCommand(): Command {
  return new Command('explain')
    .description('Say what an error code, a status, a close code, a reason or a line of the log means.')
    .argument('[code...]', 'such as bad_room, 4401, NOAUTH, "redis is down", or a line of the log')
    .option('--list', 'name all that can be explained')
    .option('--json', 'as JSON')
    .addHelpText('after', '\nExample:\n  $ roomcast explain 4401')
    .action(print)
}

function print(words: string[], { list, json }: { list?: true; json?: true }, command: Command): void {
  const given = words.join(' ')
  if (list === undefined && given.trim() === '') command.error("error: missing argument 'code', or --list")
  const found = list === undefined ? explain(given) : explanations()
  if (found.length === 0) throw new Failure(`nothing is known of "${given}"; --list names what is`)
  if (json !== undefined) process.stdout.write(`${JSON.stringify(found, null, 2)}\n`)
  else process.stdout.write(list === undefined ? found.map(asText).join('\n') : asList(found))
}

function asText({ codes, kind, page, fields }: Explanation): string {
  const lines = Object.entries(fields).map(([name, text]) => `  ${name}: ${text}`)
  return `${coloured('bold', codes.join(', '))} (${kind}, ${page})\n${lines.join('\n')}\n`
}

function asList(all: Explanation[]): string {
  return all.map(({ codes, kind }) => `${kind}: ${codes.join(', ')}\n`).join('')
}
