import type { ClientAnswer } from './answers.ts'
import { ask, hasKey, path, Refused } from './api.ts'
import { Chart } from './chart.ts'
import { action, byId, element, facts, isSure, link, tell } from './element.ts'
import { bytes, counted, milliseconds, shown, span } from './figures.ts'
import { addressOf } from './views.ts'

const EVERY_MS = 2000
const ROOMS_SHOWN = 100

let timer: ReturnType<typeof setTimeout> | undefined

/** One client, looked at every two seconds; of none, it stops. */
export async function showClient(client: string | undefined): Promise<void> {
  clearTimeout(timer)
  const page = byId('client')
  page.replaceChildren()
  if (client === undefined) return
  const charts = {
    roundTrip: new Chart('Round trip', { written: milliseconds }),
    outbox: new Chart('Outbox', { written: bytes }),
    out: new Chart('Messages to it a second'),
    drops: new Chart('Dropped a second'),
  }
  const figures = element('div', { className: 'card' })
  const acts = element('div', { className: 'acts' })
  page.append(
    element('p', { className: 'crumbs' }, link('Clients', '#clients'), ' / ', element('code', {}, client)),
    element('div', { className: 'charts' }, ...Object.values(charts).map(({ figure }) => figure)),
    figures,
    acts,
  )
  // Somebody looks at another one by now.
  const isSeen = () => figures.isConnected && !page.hidden
  let last: { one: ClientAnswer; atMs: number } | undefined
  const look = async () => {
    const one = await ask<ClientAnswer>('GET', path('clients', client))
    charts.roundTrip.add(one.roundTripMs)
    charts.outbox.add(one.outboxBytes)
    const atMs = performance.now()
    const rate = (name: 'messagesOut' | 'drops') =>
      last === undefined ? undefined : ((one[name] - last.one[name]) * 1000) / (atMs - last.atMs)
    charts.out.add(rate('messagesOut'))
    charts.drops.add(rate('drops'))
    last = { one, atMs }
    figures.replaceChildren(...figuresOf(one))
    if (acts.childElementCount === 0) acts.append(disconnect(one), revoke(one))
  }
  const again = async (): Promise<void> => {
    try {
      if (!document.hidden && hasKey()) await look()
    } catch (error) {
      if (error instanceof Refused && error.status === 404) {
        acts.replaceChildren(element('p', { role: 'status' }, 'This client is not connected any more.'))
        return
      }
      tell(error)
    }
    if (isSeen()) timer = setTimeout(() => void again(), EVERY_MS)
  }
  await again()
}

function figuresOf(one: ClientAnswer): HTMLElement[] {
  const time = (at: number | undefined) => (at === undefined ? '–' : new Date(at).toLocaleTimeString())
  const rooms = one.rooms.slice(0, ROOMS_SHOWN).flatMap((room) => [link(room, addressOf('rooms', room)), ' '])
  return [
    facts(
      ['User', one.user],
      ['Node', element('code', {}, one.node)],
      ['By', one.transport],
      ['Connected', `${span(Date.now() - one.connectedAt)}, since ${time(one.connectedAt)}`],
      ['Last pong', time(one.lastPongAt)],
      ['Pings and pongs', `${shown(one.pings)}, ${shown(one.pongs)}`],
      ['Messages in and out', `${shown(one.messagesIn)}, ${shown(one.messagesOut)}`],
      ['Bytes in and out', `${bytes(one.bytesIn)}, ${bytes(one.bytesOut)}`],
      ['Drops', shown(one.drops)],
    ),
    element('p', { className: 'chips' }, `In ${counted(one.rooms.length, 'room')} `, ...rooms),
  ]
}

function disconnect({ client, user }: ClientAnswer): HTMLElement {
  return action(
    'Disconnect',
    async () => {
      const question = `Disconnect this client of ${user}? It is told not to come back with the same token.`
      if (!(await isSure(question, 'Disconnect'))) return
      await ask('POST', `${path('clients', client)}/disconnect`, {})
    },
    'bad',
  )
}

function revoke({ user }: ClientAnswer): HTMLElement {
  const label = `Revoke all tokens of ${user}`
  return action(
    label,
    async () => {
      if (!(await isSure(`End all clients of ${user}, and refuse its tokens from before now?`, 'Revoke')))
        return
      await ask('POST', `${path('users', user)}/revoke`, {})
      tell(`Tokens of ${user} from before now hold no more.`)
    },
    'bad',
  )
}
