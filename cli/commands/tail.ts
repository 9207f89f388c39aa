import { Command } from 'commander'
import { addLiveFlags, connectHub, type LiveFlags } from '../live-hub.ts'
import { ended, messageLine, stateLine } from '../live-words.ts'
import { coloured, jsonLine, plain } from '../terminal.ts'
import { count, room } from '../values.ts'

interface Flags extends LiveFlags {
  last?: number
  count?: number
  json?: true
}

/** `roomcast tail ROOM`: what is said there, as it comes; exit code 1 when the server does not let us in. */
export function tailCommand(): Command {
  const command = new Command('tail')
    .description(
      'Print what is said in rooms, as it comes. It comes back by itself, with what was said meanwhile. Ends with Ctrl-C.',
    )
    .argument('<room...>', 'the rooms')
    .option('--last <n>', 'the newest n messages first', count)
    .option('--count <n>', 'end after n messages', count)
    .option(
      '--json',
      'a line of JSON a message; what is said about the connection goes to stderr in any case',
    )
    .addHelpText('after', '\nExample:\n  $ roomcast tail general --last 10')
    .action(tail)
  return addLiveFlags(command)
}

async function tail(names: string[], flags: Flags): Promise<void> {
  const { last, count: wanted = Infinity, json } = flags
  const rooms = names.map(room)
  const hub = await connectHub(flags)
  const end = ended(hub)
  const note = (text: string | undefined) =>
    text !== undefined && process.stderr.write(`${coloured('grey', `-- ${plain(text)}`)}\n`)
  hub.on('state', (state) => note(stateLine(state)))
  hub.on('error', ({ message }) => note(message))
  let seen = 0
  let code: number | undefined
  for (const name of rooms) {
    const joined = hub.room(name, last === undefined ? {} : { last })
    joined.on('message', (message) => {
      if (seen === wanted) return
      const prefix = rooms.length > 1 ? `${coloured('bold', name)} ` : ''
      const line =
        json === undefined ? `${prefix}${messageLine(message)}\n` : jsonLine({ room: name, ...message })
      process.stdout.write(line)
      if (++seen === wanted) {
        code = 0
        hub.close()
      }
    })
    joined.on('joined', ({ recovered, missed }) =>
      note(
        `in ${name}${missed > 0 ? `, ${missed} message(s) from before` : ''}${recovered || seen === 0 ? '' : '; some may be missing'}`,
      ),
    )
    joined.on('left', ({ message }) => {
      note(`not in ${name}: ${message}`)
      code ??= 1
      hub.close()
    })
  }
  const endCode = await end
  process.exitCode = code ?? endCode
}
