import { connect, type Hub, type Room } from '../../client/src/index.ts'
import { action, byId, element, onSubmit, tell } from './element.ts'

/** Lines of a pane at most. */
const LINES = 200
/** Any of the codes that are the application's own. */
const CUT = 4999

let hubs: Hub[] = []

/** Two clients side by side in one room, as two windows of an application would be. */
export function offerTalk(): void {
  onSubmit('join', async ({ token = '', room = '' }) => {
    for (const hub of hubs) hub.close()
    hubs = []
    byId('panes').replaceChildren(...['One', 'Two'].map((name) => pane(name, token, room)))
  })
}

function pane(name: string, token: string, room: string): HTMLElement {
  let socket: WebSocket | undefined
  class Cuttable extends WebSocket {
    constructor(url: string) {
      super(url)
      socket = this
    }
  }
  const hub = connect(new URL('.', location.href), { token, WebSocket: Cuttable })
  hubs.push(hub)
  const lines = element('ol', { tabIndex: 0, ariaLabel: `Messages of ${name}` })
  const log = element('div', {}, lines)
  log.setAttribute('role', 'log')
  const say = (text: string, kind = '') => {
    lines.append(element('li', { className: kind }, text))
    if (lines.childElementCount > LINES) lines.firstElementChild?.remove()
    lines.scrollTop = lines.scrollHeight
  }
  const here = element('p', { className: 'soft' }, '')
  const joined = hub.room(room, { last: 20, presence: true })
  hub.on('state', (state) => {
    const more = state.name === 'waiting' ? ` ${Math.round(state.retryInMs)} ms: ${state.why}` : ''
    say(state.name === 'closed' ? `closed: ${state.why}` : `${state.name}${more}`, 'event')
  })
  hub.on('error', ({ message }) => say(message, 'event'))
  joined.on('joined', ({ recovered, missed }) =>
    say(recovered ? `in the room, ${missed} came after` : 'in the room, but something is missing', 'event'),
  )
  joined.on('message', ({ content, from }) =>
    say(`${from.user}: ${typeof content === 'string' ? content : JSON.stringify(content)}`),
  )
  joined.on('presence', ({ count, users }) => {
    here.textContent = `${count} here${users === undefined ? '' : `: ${users.map(({ user }) => user).join(', ')}`}`
  })
  joined.on('left', ({ message }) => say(`not in the room: ${message}`, 'event'))
  const cut = action('Cut my connection', () => socket?.close(CUT))
  return element(
    'article',
    { className: 'card' },
    element('h3', {}, name),
    here,
    log,
    speaker(name, () => joined),
    cut,
  )
}

function speaker(name: string, room: () => Room): HTMLFormElement {
  const text = element('input', { name: 'text', required: true, ariaLabel: `What ${name} says` })
  const form = element('form', {}, text, element('button', {}, 'Say'))
  form.addEventListener('submit', (event) => {
    event.preventDefault()
    room().publish(text.value).catch(tell)
    text.value = ''
  })
  return form
}
