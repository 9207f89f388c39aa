import type { ClientAnswer, ClientFigures, RoomsPage, UserAnswer } from './answers.ts'
import { ask, path, Refused } from './api.ts'
import { showClient } from './client.ts'
import { ClientList } from './client-list.ts'
import { byId, type Fields, fieldsOf, onSearch } from './element.ts'

/** What the server's ids of clients look like. */
const CLIENT_ID = /^[\w-]{16}$/
const ROOMS_OFFERED = 50

let list: ClientList | undefined
let listed = ''

export function offerClients(): void {
  onSearch('find-clients', findClients)
  byId('find-clients').addEventListener('input', ({ target }) => {
    const { name, value } = target as HTMLInputElement
    // What cannot be offered can be typed.
    if (name === 'room') offerRooms(value).catch(() => {})
  })
}

/** All of them, as far as rooms lead to them; or one client. */
export async function openClients(client: string | undefined): Promise<void> {
  byId('clients-list').hidden = client !== undefined
  byId('client').hidden = client === undefined
  await showClient(client)
  if (client !== undefined) return
  void offerRooms('').catch(() => {})
  await findClients(fieldsOf(byId<HTMLFormElement>('find-clients')))
}

/** Another key may see other clients. */
export function forgetClients(): void {
  list = undefined
  byId('clients-found').replaceChildren()
}

async function findClients({ who = '', room = '' }: Fields): Promise<void> {
  if (list === undefined || listed !== room) {
    list = new ClientList('Clients found', room)
    listed = room
    byId('clients-found').replaceChildren(list.element)
  }
  const into = list
  const known = who === '' ? [] : await namedExactly(who)
  if (into !== list || who !== fieldsOf(byId<HTMLFormElement>('find-clients')).who) return
  await into.find(
    who,
    known.filter(({ rooms }) => room === '' || rooms.includes(room)),
  )
}

/** The clients of the user, and the one of that id. These may be in no room. */
async function namedExactly(who: string): Promise<ClientFigures[]> {
  const { clients } = await ask<UserAnswer>('GET', path('users', who))
  if (clients.length > 0 || !CLIENT_ID.test(who)) return clients
  return ask<ClientAnswer>('GET', path('clients', who)).then(
    (one) => [one],
    (error) => {
      if (error instanceof Refused && error.status === 404) return []
      throw error
    },
  )
}

async function offerRooms(prefix: string): Promise<void> {
  const query = new URLSearchParams({ prefix, limit: String(ROOMS_OFFERED) })
  const { rooms } = await ask<RoomsPage>('GET', `rooms?${query}`)
  byId('rooms-known').replaceChildren(
    ...rooms.map(({ room }) => Object.assign(document.createElement('option'), { value: room })),
  )
}
