import type { RoomsPage } from './answers.ts'
import { ask } from './api.ts'
import { action, byId, element, type Fields, fieldsOf, link, onSearch } from './element.ts'
import { counted, shown } from './figures.ts'
import { showRoom } from './room.ts'
import { Table } from './table.ts'
import { addressOf } from './views.ts'

/** Rooms shown at a time. */
const ROOMS = 50

const table = new Table<RoomsPage['rooms'][number]>(
  'Rooms found',
  [
    {
      ...{ label: 'Room', kind: 'name', by: ({ room }) => room },
      cell: ({ room }) => link(room, addressOf('rooms', room)),
    },
    { label: 'Members', kind: 'number', by: ({ members }) => members, cell: ({ members }) => shown(members) },
    {
      ...{ label: 'Users', kind: 'number', by: ({ users = -1 }) => users },
      cell: ({ users }) => (users === undefined ? '–' : shown(users)),
    },
  ],
  'No room has members.',
)
const said = element('p', { className: 'soft', role: 'status' }, '')
const acts = element('div', { className: 'acts' })
/** The last names of the pages before, the newest last. */
let before: string[] = []
let asked = 0

export function offerRooms(): void {
  byId('rooms-found').append(table.element, acts)
  acts.append(said)
  onSearch('find-rooms', async (fields) => {
    before = []
    await findRooms(fields)
  })
}

/** The rooms, or one of them. */
export async function openRooms(room: string | undefined): Promise<void> {
  byId('rooms-list').hidden = room !== undefined
  byId('room').hidden = room === undefined
  await showRoom(room)
  if (room === undefined) await findRooms(fieldsOf(byId<HTMLFormElement>('find-rooms')))
}

/** Lists the rooms whose names begin so, a page of them. */
async function findRooms({ prefix = '' }: Fields): Promise<void> {
  const ours = ++asked
  const query = new URLSearchParams({ prefix, after: before.at(-1) ?? '', limit: String(ROOMS) })
  const { rooms, more } = await ask<RoomsPage>('GET', `rooms?${query}`)
  if (ours !== asked) return
  table.show(rooms)
  const first = before.length * ROOMS
  said.textContent =
    rooms.length === 0
      ? ''
      : first === 0 && !more
        ? `${counted(rooms.length, 'room')}.`
        : `${shown(first + 1)} to ${shown(first + rooms.length)}`
  const turn = (label: string, go: () => void) =>
    action(label, () => {
      go()
      return findRooms({ prefix })
    })
  const last = rooms.at(-1)?.room ?? ''
  acts.replaceChildren(
    said,
    ...(before.length > 0 ? [turn('Previous', () => before.pop())] : []),
    ...(more ? [turn('Next', () => before.push(last))] : []),
    action('Look again', () => findRooms({ prefix })),
  )
}
