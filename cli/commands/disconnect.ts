import { Command } from 'commander'
import { type Seen, warnOfMissing } from '../cluster-words.ts'
import { Failure, misused } from '../failure.ts'
import { type ApiFlags, addApiFlags, NodeApi } from '../node-api.ts'
import { jsonLine } from '../terminal.ts'

interface Flags extends ApiFlags {
  client?: string
  reason?: string
  revoke?: true
  room?: string
}

interface Acted extends Seen {
  clients: number
}

/** `roomcast disconnect USER`: ends a user's clients, or one client; exit code 1 where there were none. */
export function disconnectCommand(): Command {
  const command = new Command('disconnect')
    .description(
      'End the clients of a user on all nodes (Close 4403). They may come back, unless --revoke voids their tokens.',
    )
    .argument('[user]', 'the user')
    .option('--client <id>', 'one client, instead of a user')
    .option('--room <room>', 'only put the user out of this room')
    .option('--revoke', 'also void all tokens of the user that were issued until now')
    .option('--reason <text>', 'what the client is told')
    .addHelpText('after', "\nExample:\n  $ roomcast disconnect ada --reason 'see you'")
    .action(disconnect)
  return addApiFlags(command)
}

async function disconnect(user: string | undefined, flags: Flags): Promise<void> {
  const { client, reason, revoke, room, json } = flags
  if ((user === undefined) === (client === undefined)) throw misused('it needs a user, or --client')
  if (client !== undefined && (revoke ?? room) !== undefined)
    throw misused('--revoke and --room are for users')
  if (room !== undefined && (revoke ?? reason) !== undefined)
    throw misused('--room goes with neither --revoke nor --reason')
  const api = new NodeApi(flags)
  const whose =
    user === undefined ? `/clients/${encodeURIComponent(client ?? '')}` : `/users/${encodeURIComponent(user)}`
  const ends = {
    method: 'POST',
    path: `${whose}/disconnect`,
    body: reason === undefined ? {} : { reason },
  } as const
  // Void first: else they would be back before.
  const revoked =
    revoke === undefined
      ? 0
      : (await api.call<Acted>({ method: 'POST', path: `${whose}/revoke`, body: {} })).clients
  const acted = await api.call<Acted>(
    room === undefined
      ? ends
      : {
          method: 'DELETE',
          path: `/rooms/${encodeURIComponent(room)}/members/${encodeURIComponent(user ?? '')}`,
        },
  )
  const clients = acted.clients + revoked
  process.stdout.write(json === undefined ? `${clients} client(s)\n` : jsonLine({ ...acted, clients }))
  if (acted.scope === 'node') throw new Failure('the bridge is away: it was carried out on that node only')
  warnOfMissing(acted)
  if (clients === 0) process.exitCode = 1
}
