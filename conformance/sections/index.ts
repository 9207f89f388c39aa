import type { Section } from '../check.ts'
import { call } from './call.ts'
import { connecting } from './connecting.ts'
import { delivery } from './delivery.ts'
import { envelopes } from './envelopes.ts'
import { history } from './history.ts'
import { join } from './join.ts'
import { leave } from './leave.ts'
import { message } from './message.ts'
import { ping } from './ping.ts'
import { presence } from './presence.ts'
import { recovery } from './recovery.ts'
import { refresh } from './refresh.ts'
import { token } from './token.ts'
import { tokenRooms } from './token-rooms.ts'

/** All of them, as the documents have them. */
export const sections: Section[] = [
  connecting,
  token,
  tokenRooms,
  envelopes,
  join,
  leave,
  message,
  ping,
  history,
  call,
  refresh,
  delivery,
  recovery,
  presence,
]
