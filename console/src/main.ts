import { useKey } from './api.ts'
import { forgetClients, offerClients, openClients } from './clients.ts'
import { byId, onSubmit } from './element.ts'
import { offerOverview, showState, watchCluster } from './overview.ts'
import { offerRooms, openRooms } from './rooms.ts'
import { offerTalk } from './talk.ts'
import { offerViews, openHere } from './views.ts'

/** A token has three parts; the secret of an API key has no dots. */
const TOKEN = /^[\w-]+\.[\w-]+\.[\w-]+$/

offerOverview()
offerRooms()
offerClients()
offerTalk()
offerViews({ overview: () => {}, rooms: openRooms, clients: openClients, talk: () => {} })

onSubmit('login', async ({ key = '' }) => {
  const token = byId('join').querySelector<HTMLInputElement>('[name=token]')
  if (TOKEN.test(key) && token !== null && token.value === '') token.value = key
  useKey(key)
  try {
    await watchCluster()
  } catch (error) {
    forget()
    throw error
  }
  byId<HTMLFormElement>('login').reset()
  openHere()
})
byId('forget').onclick = () => {
  forget()
  byId('login').querySelector('input')?.focus()
}

function forget(): void {
  useKey('')
  forgetClients()
  showState('', 'Not connected')
  openHere()
}
