import type { History, RoomAnswer } from './answers.ts'
import { ask, path, Refused } from './api.ts'
import { ClientList } from './client-list.ts'
import { action, byId, element, facts, link, tell } from './element.ts'
import { counted, shown } from './figures.ts'

const MESSAGES = 50

/** Who is in a room, with each client's figures, and what was said there last. */
export async function showRoom(room: string | undefined): Promise<void> {
  const page = byId('room')
  page.replaceChildren()
  if (room === undefined) return
  const clients = new ClientList(`Members of ${room}`, room)
  const counts = element('div', { className: 'card' })
  const messages = element('div', { className: 'card' })
  const part = element('input', { type: 'search', autocomplete: 'off', maxLength: 256 })
  const form = element('form', {}, element('label', {}, 'User’s name has ', part))
  const find = () => void clients.find(part.value).catch(tell)
  form.onsubmit = (event) => event.preventDefault()
  part.oninput = find
  page.append(
    element('p', { className: 'crumbs' }, link('Rooms', '#rooms'), ' / ', element('strong', {}, room)),
    counts,
    messages,
    element(
      'div',
      { className: 'card' },
      element('h3', {}, 'Members'),
      element('search', {}, form),
      clients.element,
    ),
  )
  const lookAtMessages = async () => {
    const history = await historyOf(room)
    counts.replaceChildren(await countsOf(room, history))
    messages.replaceChildren(...messagesOf(room, history), action('Look again', lookAtMessages))
    const list = messages.querySelector('ol')
    list?.scrollTo(0, list.scrollHeight)
  }
  await Promise.all([lookAtMessages(), clients.find('')])
}

/** Undefined where no history is kept. */
function historyOf(room: string): Promise<History | undefined> {
  return ask<History>('GET', `${path('rooms', room)}/messages?limit=${MESSAGES}`).catch((error) => {
    if (error instanceof Refused && error.status === 503) return undefined
    throw error
  })
}

async function countsOf(room: string, history: History | undefined): Promise<HTMLElement> {
  const { members, users } = await ask<RoomAnswer>('GET', path('rooms', room))
  return facts(
    ['Clients', shown(members)],
    ['Users', users === undefined ? 'more than 50,000' : shown(users)],
    ['Messages so far', history === undefined ? 'none are kept' : shown(history.offset)],
  )
}

function messagesOf(room: string, history: History | undefined): HTMLElement[] {
  const lines = (history?.messages ?? []).map(({ from, content, at, offset }) => {
    const { user } = from as { user: string }
    return element(
      'li',
      {},
      element('span', { className: 'soft' }, `${offset} · ${new Date(Number(at)).toLocaleTimeString()} `),
      element('strong', {}, `${user}: `),
      JSON.stringify(content),
    )
  })
  const heading = element(
    'h3',
    {},
    lines.length === 0 ? 'No messages' : `Last ${counted(lines.length, 'message')}`,
  )
  if (lines.length === 0) return [heading]
  return [heading, element('ol', { tabIndex: 0, ariaLabel: `Messages of ${room}` }, ...lines)]
}
