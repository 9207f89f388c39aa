import type { ClientFigures } from './answers.ts'
import { ask, path } from './api.ts'
import { Browse, figuresOf } from './browse.ts'
import { action, element, isSure, link, tell } from './element.ts'
import { bytes, counted, milliseconds, shown, span } from './figures.ts'
import { type Column, Table } from './table.ts'
import { addressOf } from './views.ts'

/** Users of one look; more on demand, up to so many clients in all: beyond, a search finds better. */
const USERS_A_LOOK = matchMedia('(max-width: 48rem)').matches ? 20 : 50
const NOBODY = 'No room has such a client. Who is in no room is found by its user’s whole name, or by its id.'
/** Rooms that are looked into for them. */
const ROOMS_A_LOOK = 1000
const SHOWN_MAX = 500
/** So much in an outbox is more than a moment's work. */
const MUCH_BYTES = 64 * 1024

/** Clients with their figures: some that are known, then those that browsing finds. */
export class ClientList {
  readonly element: HTMLElement
  readonly #room: string
  readonly #table: Table<ClientFigures>
  readonly #said = element('p', { className: 'soft', role: 'status' }, '')
  readonly #more = action('Show more', () => this.#look())
  #clients: ClientFigures[] = []
  #browse: Browse | undefined

  /** In one room, or in all where it is empty. */
  constructor(name: string, room = '') {
    this.#room = room
    const act = room === '' ? this.#disconnecting() : this.#removing()
    this.#table = new Table(
      name,
      [...columns, act],
      room === '' ? NOBODY : 'Nobody of that name is in the room.',
    )
    const again = action('Look again', () => this.#again())
    this.#more.hidden = true
    this.element = element(
      'div',
      {},
      this.#table.element,
      element('div', { className: 'acts' }, this.#said, this.#more, again),
    )
  }

  /** Users whose names have `part` in them, behind `known` clients. */
  async find(part: string, known: ClientFigures[] = []): Promise<void> {
    const users = new Set(known.map(({ user }) => user))
    this.#clients = [...known]
    this.#browse = new Browse(this.#room, part, [...users])
    this.#said.textContent = 'Looking …'
    if (known.length > 0) this.#table.show(known)
    await this.#look()
  }

  async #look(): Promise<void> {
    const browse = this.#browse
    if (browse === undefined) return
    try {
      const enough = browse.users + USERS_A_LOOK
      const most = browse.rooms + ROOMS_A_LOOK
      // Somebody may look for something else meanwhile.
      while (browse === this.#browse && !browse.isDone && browse.users < enough && browse.rooms < most) {
        const found = await browse.look(enough - browse.users)
        if (browse !== this.#browse) return
        this.#clients.push(...found)
        this.#show(browse, true)
      }
    } finally {
      if (browse === this.#browse) this.#show(browse)
    }
  }

  #show({ isDone, isCut, rooms }: Browse, isLooking = false): void {
    const { length } = this.#clients
    this.#table.show(this.#clients)
    const isFull = length >= SHOWN_MAX
    this.#more.hidden = isDone || isFull || isLooking
    const where = this.#room === '' ? `, ${counted(rooms, 'room')} looked into` : ''
    const lines = [
      `${counted(length, 'client')}${where}${isLooking ? ' so far' : isDone ? '' : '; there may be more'}.`,
      ...(isFull && !isDone ? ['Search for a name to find others.'] : []),
      ...(isCut ? ['A room lists 1,000 of its users: others are found by their whole names.'] : []),
    ]
    this.#said.textContent = lines.join(' ')
  }

  /** The figures of those who are shown, as they are now. */
  async #again(): Promise<void> {
    const browse = this.#browse
    const shownIds = new Set(this.#clients.map(({ client }) => client))
    const users = [...new Set(this.#clients.map(({ user }) => user))]
    const clients = (await figuresOf(users)).filter(({ client }) => shownIds.has(client))
    if (browse === undefined || browse !== this.#browse) return
    this.#clients = clients
    this.#show(browse)
  }

  #disconnecting(): Column<ClientFigures> {
    return acting('Disconnect', ({ client, user }) => ({
      label: `Disconnect ${client} of ${user}`,
      question: `Disconnect this client of ${user}? It is told not to come back with the same token.`,
      run: () => ask('POST', `${path('clients', client)}/disconnect`, {}),
      after: () => this.#without((one) => one.client === client),
    }))
  }

  #removing(): Column<ClientFigures> {
    return acting('Remove', ({ user }) => ({
      label: `Remove ${user} from ${this.#room}`,
      question: `Put all clients of ${user} out of ${this.#room}?`,
      run: () => ask('DELETE', path('rooms', this.#room, 'members', user)),
      after: () => this.#without((one) => one.user === user),
    }))
  }

  #without(isGone: (one: ClientFigures) => boolean): void {
    this.#clients = this.#clients.filter((one) => !isGone(one))
    if (this.#browse !== undefined) this.#show(this.#browse)
  }
}

interface Act {
  label: string
  question: string
  run: () => Promise<unknown>
  after: () => void
}

/** A column of buttons for what cannot be taken back. */
function acting(verb: string, act: (one: ClientFigures) => Act): Column<ClientFigures> {
  const cell = (one: ClientFigures) => {
    const { label, question, run, after } = act(one)
    const button = action(
      verb,
      async () => {
        if (!(await isSure(question, verb))) return
        await run()
        after()
        tell('Done.')
      },
      'bad small',
    )
    button.ariaLabel = label
    return button
  }
  return { label: 'Act', kind: 'act', cell }
}

const columns: Column<ClientFigures>[] = [
  {
    ...{ label: 'User', kind: 'name', by: ({ user }) => user },
    cell: ({ user, client }) => link(user, addressOf('clients', client)),
  },
  { label: 'Client', kind: 'name', cell: ({ client }) => element('code', {}, client) },
  {
    ...{ label: 'Rooms', kind: 'name', by: ({ rooms }) => rooms.length },
    cell: ({ rooms: [first, ...others] }) =>
      element(
        'span',
        {},
        first === undefined ? '–' : link(first, addressOf('rooms', first)),
        others.length > 0 ? ` +${shown(others.length)}` : '',
      ),
  },
  {
    ...{ label: 'Connected', kind: 'number', by: ({ connectedAt }) => Date.now() - connectedAt },
    cell: ({ connectedAt }) => span(Date.now() - connectedAt),
  },
  {
    ...{ label: 'Round trip', kind: 'number', by: ({ roundTripMs = -1 }) => roundTripMs },
    cell: ({ roundTripMs }) => milliseconds(roundTripMs),
  },
  {
    label: 'In',
    kind: 'number',
    by: ({ messagesIn }) => messagesIn,
    cell: ({ messagesIn }) => shown(messagesIn),
  },
  {
    ...{ label: 'Out', kind: 'number', by: ({ messagesOut }) => messagesOut },
    cell: ({ messagesOut }) => shown(messagesOut),
  },
  {
    ...{ label: 'Outbox', kind: 'number', by: ({ outboxBytes }) => outboxBytes },
    cell: ({ outboxBytes }) =>
      element('span', { className: outboxBytes >= MUCH_BYTES ? 'badge missing' : '' }, bytes(outboxBytes)),
  },
  {
    ...{ label: 'Drops', kind: 'number', by: ({ drops }) => drops },
    cell: ({ drops }) => element('span', { className: drops > 0 ? 'badge down' : '' }, shown(drops)),
  },
  { label: 'By', by: ({ transport }) => transport, cell: ({ transport }) => transport },
]
