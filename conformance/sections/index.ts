import type { Section } from '../check.ts'
import { apiActing } from './api-acting.ts'
import { apiErrors } from './api-errors.ts'
import { apiPublishing } from './api-publishing.ts'
import { apiReading } from './api-reading.ts'
import { call } from './call.ts'
import { closeCodes } from './close-codes.ts'
import { connecting } from './connecting.ts'
import { delivery } from './delivery.ts'
import { envelopes } from './envelopes.ts'
import { health } from './health.ts'
import { history } from './history.ts'
import { join } from './join.ts'
import { leave } from './leave.ts'
import { rate, silence, size } from './limits.ts'
import { message } from './message.ts'
import { ping } from './ping.ts'
import { presence } from './presence.ts'
import { recovery } from './recovery.ts'
import { refresh } from './refresh.ts'
import { streams } from './streams.ts'
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
  streams,
  size,
  rate,
  silence,
  closeCodes,
  apiPublishing,
  apiReading,
  apiActing,
  apiErrors,
  health,
]
