import { connect, type Message } from 'roomcast-client'

type Said = { text: string } | { typing: true }
const TYPING_MS = 2000

const me = new URLSearchParams(location.search).get('user') ?? prompt('Your name?') ?? 'guest'
const fetchToken = async () => {
  const answer = await fetch(`/token?user=${encodeURIComponent(me)}`)
  if (!answer.ok) throw new Error(`no token: ${answer.status}`)
  return answer.text()
}

const hub = connect<{ 'chat.*': Said }>(location.origin, { token: fetchToken })
const room = hub.room('chat.general', { last: 50, presence: true, reload: () => location.reload() })

const find = <Found extends Element>(selector: string) => document.querySelector(selector) as Found
const [messages, users] = [find('#messages'), find('#users')]
const form = find<HTMLFormElement>('form')
const input = find<HTMLInputElement>('input')
const show = (selector: string, text: string) => {
  find(selector).textContent = text
}

hub.on('state', ({ name }) => show('#state', name === 'open' ? `You are ${me}` : `${name} …`))
hub.on('error', ({ message }) => show('#state', message))
room.on('left', ({ message }) => show('#state', message))

room.on('presence', ({ users: here = [] }) =>
  users.replaceChildren(...here.map(({ user }) => element('li', user))),
)

room.on('message', (message) => {
  const { content, from } = message
  if ('typing' in content) return showTyping(from.user)
  typing.delete(from.user)
  showWhoTypes()
  messages.append(line(message, content.text))
  messages.lastElementChild?.scrollIntoView()
})

/** Who types, and the timer that forgets it. */
const typing = new Map<string, number>()
function showTyping(user: string) {
  clearTimeout(typing.get(user))
  typing.set(
    user,
    setTimeout(() => {
      typing.delete(user)
      showWhoTypes()
    }, TYPING_MS),
  )
  showWhoTypes()
}
function showWhoTypes() {
  show('#typing', typing.size === 0 ? '' : `${[...typing.keys()].join(', ')} typing …`)
}

let toldAt = 0
input.addEventListener('input', () => {
  if (Date.now() - toldAt < TYPING_MS / 2) return
  toldAt = Date.now()
  // Not kept, so not in the history; while offline nobody needs it.
  room.publish({ typing: true }, { keep: false }).catch(() => {})
})

form.addEventListener('submit', (event) => {
  event.preventDefault()
  const text = input.value
  input.value = ''
  toldAt = 0
  room.publish({ text }).catch((error: Error) => {
    show('#state', `not sent: ${error.message}`)
    input.value ||= text
  })
})

function line({ from, at }: Message, text: string) {
  const item = document.createElement('li')
  const time = new Date(at).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' })
  item.append(element('b', from.user), ' ', element('time', time), element('div', text))
  return item
}

function element(name: string, text: string) {
  const made = document.createElement(name)
  made.textContent = text
  return made
}
