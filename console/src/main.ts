import { useKey } from './api.ts'
import { offerClients } from './clients.ts'
import { watchCluster } from './cluster.ts'
import { byId, onSubmit } from './element.ts'
import { findRooms, offerRooms } from './rooms.ts'
import { offerTalk } from './talk.ts'

/** A token has three parts; the secret of an API key has no dots. */
const TOKEN = /^[\w-]+\.[\w-]+\.[\w-]+$/

onSubmit('login', async ({ key = '' }) => {
  useKey(key)
  const token = byId('join').querySelector<HTMLInputElement>('[name=token]')
  if (TOKEN.test(key) && token !== null && token.value === '') token.value = key
  await watchCluster()
  await findRooms('')
})
// What scrolls can be scrolled with the keyboard.
for (const one of document.querySelectorAll<HTMLElement>('.scroll')) one.tabIndex = 0
offerTalk()
offerRooms()
offerClients()
