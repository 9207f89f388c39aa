import { Command } from 'commander'
import { Failure, misused } from '../failure.ts'
import { inputLines, readInput } from '../input.ts'
import { type ApiFlags, addApiFlags, NodeApi } from '../node-api.ts'
import { jsonLine, plain } from '../terminal.ts'
import { room } from '../values.ts'

interface Flags extends ApiFlags {
  text?: true
  lines?: true
  key?: string
  messageKey?: string
  keep: boolean
  user?: string
}

interface Published {
  scope: 'cluster' | 'node'
  offset?: number
  duplicate?: true
}

/** `roomcast publish ROOM [CONTENT]`: by the HTTP API, from the argument or from standard input. */
export function publishCommand(): Command {
  const command = new Command('publish')
    .description('Publish to a room by the HTTP API. Content is JSON; what is none is sent as a text.')
    .argument('<room>', 'the room', room)
    .argument('[content]', 'JSON or a text; without it, or as -, standard input is read')
    .option('--text', 'send it as a text, whatever it looks like')
    .option('--lines', 'each line of standard input is a message of its own')
    .option('--message-key <key>', 'makes the publish idempotent for 5 minutes')
    .option('--no-keep', 'deliver and forget: it is in no history')
    .option('--user <name>', 'whom members see it from')
    .addHelpText(
      'after',
      '\nExample:\n  $ roomcast publish news \'{"title":"Hello"}\'\n  $ tail -f app.log | roomcast publish log --lines',
    )
    .action(publish)
  return addApiFlags(command)
}

async function publish(name: string, content: string | undefined, flags: Flags): Promise<void> {
  const api = new NodeApi(flags)
  const isGiven = content !== undefined && content !== '-'
  if (isGiven && flags.lines !== undefined)
    throw misused('--lines reads standard input, and a content is given')
  if (flags.lines !== undefined && flags.messageKey !== undefined)
    throw misused('--lines are several messages, and one --message-key would keep all but the first')
  if (flags.lines === undefined) {
    const text = isGiven ? content : (await readInput()).replace(/\r?\n$/, '')
    if (!isGiven && text === '') throw misused('there is nothing on standard input to publish')
    return send(api, name, text, flags)
  }
  for await (const line of inputLines()) if (line !== '') await send(api, name, line, flags)
}

async function send(api: NodeApi, name: string, content: string, flags: Flags): Promise<void> {
  const { messageKey: key, keep, user, json } = flags
  const rest = {
    ...(key !== undefined && { key }),
    ...(!keep && { keep }),
    ...(user !== undefined && { user }),
  }
  const more = JSON.stringify(rest).slice(1)
  // The content's own text, so that no number in it changes.
  const text = `{"content":${contentOf(content, flags.text)}${more === '}' ? '' : ','}${more}`
  const path = `/rooms/${encodeURIComponent(name)}/messages`
  const answer = await api.call<Published>({ method: 'POST', path, text })
  process.stdout.write(json === undefined ? asText(name, answer) : jsonLine(answer))
  if (answer.scope === 'node') {
    throw new Failure('the bridge is away: only the members on that node got it')
  }
}

function contentOf(text: string, isText: true | undefined): string {
  if (isText === undefined)
    try {
      JSON.parse(text)
      return text
    } catch {
      // A text, then.
    }
  return JSON.stringify(text)
}

function asText(name: string, { offset, duplicate }: Published): string {
  const place = offset === undefined ? '' : ` at ${plain(String(offset))}`
  return `published to ${name}${place}${duplicate === true ? ', a repeat of before' : ''}\n`
}
