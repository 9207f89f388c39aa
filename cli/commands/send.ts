import { createInterface, type Interface } from 'node:readline'
import { Command } from 'commander'
import { Failure } from '../failure.ts'
import { inputLines } from '../input.ts'
import { addLiveFlags, connectHub, type LiveFlags, type LiveHub, type LiveRoom } from '../live-hub.ts'
import { ended, messageLine, stateLine } from '../live-words.ts'
import { coloured, jsonLine, plain } from '../terminal.ts'
import { room } from '../values.ts'

interface Flags extends LiveFlags {
  jsonContent?: true
  keep: boolean
  json?: true
}

/** `roomcast send ROOM [TEXT]`: says something as a client; without a text, a prompt that shows the room as well. */
export function sendCommand(): Command {
  const command = new Command('send')
    .description(
      'Say something in a room, as a client. Without a text each line of standard input is said; on a terminal that is ' +
        'a prompt, which shows the room, too.',
    )
    .argument('<room>', 'the room', room)
    .argument('[text]', 'what to say')
    .option('--json-content', 'what is said is JSON')
    .option('--no-keep', 'deliver and forget: it is in no history')
    .option('--json', 'print the acknowledgements as JSON')
    .addHelpText('after', "\nExample:\n  $ roomcast send general 'Hello, world!'")
    .action(send)
  return addLiveFlags(command)
}

async function send(name: string, text: string | undefined, flags: Flags): Promise<void> {
  const content = text === undefined ? undefined : contentOf(text, flags)
  const hub = await connectHub(flags)
  const joined = hub.room(name)
  const isPrompt = text === undefined && process.stdin.isTTY === true
  try {
    if (isPrompt) process.exitCode = await converse(hub, joined, name, flags)
    else if (text !== undefined) await say(hub, joined, content, flags)
    else
      for await (const line of inputLines())
        if (line !== '') await say(hub, joined, contentOf(line, flags), flags)
  } finally {
    hub.close()
  }
}

/** Resolves when the server has taken it; rejects with Failure when it has not. */
async function say(hub: LiveHub, joined: LiveRoom, content: unknown, { keep, json }: Flags): Promise<void> {
  const stop = hub.on('state', (state) => {
    if (state.name === 'waiting') process.stderr.write(`-- ${stateLine(state)}\n`)
  })
  try {
    // What is not kept does not wait for a connection, so it is said once there is one.
    if (!keep) await isIn(hub, joined)
    const ack = await joined.publish(content, keep ? {} : { keep })
    if (json !== undefined) process.stdout.write(jsonLine(ack))
    if (ack.scope === 'node')
      process.stderr.write('-- the bridge is away: only members on that node got it\n')
  } catch (error) {
    throw new Failure(`not said: ${(error as Error).message}`)
  } finally {
    stop()
  }
}

function isIn(hub: LiveHub, joined: LiveRoom): Promise<void> {
  return new Promise((resolve, reject) => {
    joined.on('joined', () => resolve())
    joined.on('left', reject)
    hub.on('state', (state) => state.name === 'closed' && reject(new Error(state.why)))
  })
}

/** A prompt with the room above it; resolves with the exit code. */
async function converse(hub: LiveHub, joined: LiveRoom, name: string, flags: Flags): Promise<number> {
  const prompt = createInterface({ input: process.stdin, output: process.stdout, prompt: `${name}> ` })
  let isOver = false
  prompt.once('close', () => {
    isOver = true
  })
  // A prompt that is drawn after its end would read on.
  const above = (line: string | undefined) => line !== undefined && !isOver && printAbove(prompt, line)
  const note = (line: string | undefined) =>
    line !== undefined && above(coloured('grey', `-- ${plain(line)}`))
  const end = ended(hub)
  hub.on('state', (state) => note(stateLine(state)))
  joined.on('message', (message) => above(messageLine(message)))
  joined.on('joined', () => note(`in ${name}; Ctrl-D ends`))
  let code = 0
  joined.on('left', ({ message }) => {
    note(`not in ${name}: ${message}`)
    code = 1
    prompt.close()
  })
  prompt.on('SIGINT', () => prompt.close())
  prompt.on('line', (line) => {
    prompt.prompt()
    if (line.trim() === '') return
    try {
      const said = joined.publish(contentOf(line, flags), flags.keep ? {} : { keep: false })
      said.catch((error: Error) => note(`not said: ${error.message}`))
    } catch (error) {
      note((error as Error).message)
    }
  })
  prompt.prompt()
  const closed = new Promise<number>((resolve) => prompt.once('close', () => resolve(0)))
  const endCode = await Promise.race([end, closed])
  prompt.close()
  process.stdout.write('\n')
  return Math.max(code, endCode)
}

/** Over the prompt, which is drawn again below with what was typed so far. */
function printAbove(prompt: Interface, line: string): void {
  process.stdout.write(`\r\u001b[K${line}\n`)
  prompt.prompt(true)
}

function contentOf(text: string, { jsonContent }: Flags): unknown {
  if (jsonContent === undefined) return text
  try {
    return JSON.parse(text)
  } catch {
    throw new Failure(`not JSON: ${text}`, 2)
  }
}
