import { ask, type ClientAnswer, type UserAnswer } from './api.ts'
import { shown } from './chart.ts'
import { action, byId, onSubmit, row, tell } from './element.ts'

export function offerClients(): void {
  onSubmit('find-clients', async ({ who = '' }) => findClients(who))
}

/** The clients of a user, or the one of that id. */
async function findClients(who: string): Promise<void> {
  const name = encodeURIComponent(who)
  const ofUser = (await ask<UserAnswer>('GET', `users/${name}`)).clients
  const clients =
    ofUser.length > 0
      ? ofUser
      : await ask<ClientAnswer>('GET', `clients/${name}`).then(
          (one) => [one],
          () => [],
        )
  const rows = clients.map((one) => {
    const end = action('Disconnect', async () => {
      await ask('POST', `clients/${encodeURIComponent(one.client)}/disconnect`, {})
      await findClients(who)
    })
    end.ariaLabel = `Disconnect ${one.client}`
    return row(
      ...[one.client, one.user, one.node, one.transport, one.rooms.length],
      one.roundTripMs === undefined ? '–' : `${shown(one.roundTripMs)} ms`,
      ...[shown(one.messagesIn), shown(one.messagesOut), `${shown(one.outboxBytes)} B`, shown(one.drops)],
      end,
    )
  })
  const nobody = row('Nobody of that name is connected.', ...Array<string>(10).fill(''))
  byId('clients-found').replaceChildren(...(rows.length > 0 ? rows : [nobody]))
  byId('acts').replaceChildren(...(ofUser.length > 0 ? [revoke(who)] : []))
}

function revoke(user: string): HTMLButtonElement {
  return action(`Revoke all tokens of ${user}`, async () => {
    await ask('POST', `users/${encodeURIComponent(user)}/revoke`, {})
    await findClients(user)
    tell(`Tokens of ${user} from before now hold no more.`)
  })
}
