import { Command } from 'commander'
import { type Seen, warnOfMissing } from '../cluster-words.ts'
import { type ApiFlags, addApiFlags, NodeApi } from '../node-api.ts'
import { jsonLine, table } from '../terminal.ts'
import { count } from '../values.ts'

const PAGE = 1000

interface Room {
  room: string
  members: number
  users?: number
}

interface Page extends Seen {
  rooms: Room[]
  more: boolean
}

interface Members extends Seen {
  users: { user: string; clients: number }[]
  more: boolean
}

interface Flags extends ApiFlags {
  prefix: string
  limit: number
}

/** `roomcast rooms [ROOM]`: the rooms of all nodes; or who is in one, and 1 where nobody is. */
export function roomsCommand(): Command {
  const command = new Command('rooms')
    .description('List the rooms of all nodes, or the users of one room.')
    .argument('[room]', 'the room whose users are wanted')
    .option('--prefix <text>', 'only rooms whose names begin with it', '')
    .option('--limit <n>', 'so many rooms at most', count, PAGE)
    .addHelpText('after', '\nExample:\n  $ roomcast rooms --prefix team-')
    .action(list)
  return addApiFlags(command)
}

async function list(name: string | undefined, flags: Flags): Promise<void> {
  const api = new NodeApi(flags)
  if (name !== undefined) return members(api, name, flags)
  const rooms: Room[] = []
  let page: Page
  do {
    const limit = Math.min(PAGE, flags.limit - rooms.length)
    const query = new URLSearchParams({
      prefix: flags.prefix,
      after: rooms.at(-1)?.room ?? '',
      limit: String(limit),
    })
    page = await api.call<Page>({ path: `/rooms?${query}` })
    rooms.push(...page.rooms)
  } while (page.more && rooms.length < flags.limit)
  const { more, scope, nodes } = page
  if (flags.json !== undefined) process.stdout.write(jsonLine({ rooms, more, scope, nodes }))
  else {
    const rows = rooms.map(({ room, members: clients, users = '' }) => [room, clients, users])
    process.stdout.write(table(['room', 'members', 'users'], rows))
    if (more) process.stderr.write('there are more; --limit says how many are wanted\n')
  }
  warnOfMissing(page)
}

async function members(api: NodeApi, name: string, { json }: Flags): Promise<void> {
  const answer = await api.call<Members>({ path: `/rooms/${encodeURIComponent(name)}/members` })
  if (json !== undefined) process.stdout.write(jsonLine(answer))
  else {
    const rows = answer.users.map(({ user, clients }) => [user, clients])
    process.stdout.write(table(['user', 'clients'], rows))
    if (answer.more) process.stderr.write('there are more users than these\n')
  }
  warnOfMissing(answer)
  if (answer.users.length === 0) process.exitCode = 1
}
