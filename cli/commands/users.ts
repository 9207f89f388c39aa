import { Command } from 'commander'
import { type Seen, warnOfMissing } from '../cluster-words.ts'
import { type ApiFlags, addApiFlags, NodeApi } from '../node-api.ts'
import { jsonLine, table } from '../terminal.ts'

interface Client {
  client: string
  node: string
  transport: string
  rooms: string[]
  connectedAt: number
  roundTripMs?: number
  messagesIn: number
  messagesOut: number
  outboxBytes: number
  drops: number
}

/** `roomcast users USER`: a user's clients on all nodes; exit code 1 where there are none. */
export function usersCommand(): Command {
  const command = new Command('users')
    .description("Show a user's clients on all nodes: since when, where, and how they keep up.")
    .argument('<user>', 'the user')
    .addHelpText('after', '\nExample:\n  $ roomcast users ada')
    .action(show)
  return addApiFlags(command)
}

async function show(user: string, flags: ApiFlags): Promise<void> {
  const path = `/users/${encodeURIComponent(user)}`
  const answer = await new NodeApi(flags).call<{ clients: Client[]; more: boolean } & Seen>({ path })
  const { clients, more } = answer
  if (flags.json !== undefined) process.stdout.write(jsonLine(answer))
  else {
    const head = ['client', 'node', 'by', 'since', 'round trip', 'in', 'out', 'waiting', 'drops', 'rooms']
    process.stdout.write(table(head, clients.map(rowOf)))
    if (more) process.stderr.write('there are more clients than these\n')
  }
  warnOfMissing(answer)
  if (clients.length === 0) process.exitCode = 1
}

function rowOf(client: Client): (string | number)[] {
  const { roundTripMs, outboxBytes, rooms } = client
  const since = new Date(client.connectedAt).toISOString().slice(0, 19)
  const trip = roundTripMs === undefined ? '' : `${Math.round(roundTripMs)} ms`
  const { messagesIn, messagesOut, drops } = client
  const figures = [messagesIn, messagesOut, `${outboxBytes} B`, drops]
  return [client.client, client.node, client.transport, since, trip, ...figures, rooms.join(' ')]
}
