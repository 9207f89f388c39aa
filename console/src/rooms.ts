import { ask, type History, type Members, type RoomsPage } from './api.ts'
import { shown } from './chart.ts'
import { action, byId, element, onSubmit, row } from './element.ts'

/** Rooms shown at a time, and messages of one. */
const ROOMS = 50
const MESSAGES = 50

export function offerRooms(): void {
  onSubmit('find-rooms', async ({ prefix = '' }) => findRooms(prefix))
}

/** Lists the rooms whose names begin so; a button shows what is in one. */
export async function findRooms(prefix: string, after = ''): Promise<void> {
  const query = new URLSearchParams({ prefix, after, limit: String(ROOMS) })
  const { rooms, more } = await ask<RoomsPage>('GET', `rooms?${query}`)
  const rows = rooms.map(({ room, members, users }) => {
    const look = action('Look', () => showRoom(room))
    look.ariaLabel = `Look into ${room}`
    return row(room, shown(members), users === undefined ? '–' : shown(users), look)
  })
  if (rows.length === 0) rows.push(row('No room has members.', '', '', ''))
  if (more)
    rows.push(
      row(
        action('Next', () => findRooms(prefix, rooms.at(-1)?.room)),
        '',
        '',
        '',
      ),
    )
  byId('rooms-found').replaceChildren(...rows)
}

async function showRoom(room: string): Promise<void> {
  const path = `rooms/${encodeURIComponent(room)}`
  const [members, history] = await Promise.all([
    ask<Members>('GET', `${path}/members`),
    ask<History>('GET', `${path}/messages?limit=${MESSAGES}`),
  ])
  const lines = history.messages.map(({ from, content, at, offset }) => {
    const { user } = from as { user: string }
    const time = new Date(Number(at)).toLocaleTimeString()
    return element('li', {}, `${offset} · ${time} · ${user}: ${JSON.stringify(content)}`)
  })
  const users = members.users.map(({ user, clients }) => {
    const remove = action('Remove', async () => {
      await ask('DELETE', `${path}/members/${encodeURIComponent(user)}`)
      await showRoom(room)
    })
    remove.ariaLabel = `Remove ${user} from ${room}`
    return row(user, clients, remove)
  })
  const list = element('ol', { tabIndex: 0, ariaLabel: `Messages of ${room}` }, ...lines)
  byId('room').replaceChildren(
    element('h3', {}, `${room}: ${shown(members.count)} users, at offset ${history.offset}`),
    list,
    element('table', {}, element('tbody', {}, ...users)),
    action('Look again', () => showRoom(room)),
  )
  list.scrollTop = list.scrollHeight
}
