import type { Identity } from '../auth/permissions.ts'
import { TokenFault, type Verified } from '../auth/tokens.ts'
import type { Expiry, RefreshRequest } from '../protocol/envelope.ts'
import { type Answer, refusal, type Sent, withId } from './answers.ts'
import type { Client } from './client.ts'
import type { Hub } from './hub.ts'

/** The client shows a new token of its user; what that one says holds from `refreshed` on. */
export function refresh(hub: Hub, client: Client, { id, token }: RefreshRequest): Answer {
  const answer = (verified: Verified): Sent => {
    if (!(verified instanceof TokenFault) && isSameUser(client, verified) && !hub.isRevoked(verified)) {
      // Gone while the key was fetched: nobody would end its heartbeat.
      if (!client.isOpen) return undefined
      const { info } = client
      hub.renew(client, withChanges(verified, client.identity))
      if (client.info !== info) for (const room of client.rooms) hub.rooms.get(room)?.presence?.renew(client)
      client.reply({ type: 'refreshed', ...withId(id), ...expiryOf(client, hub.clock.wallMs()) })
      leaveForbidden(hub, client)
      return undefined
    }
    return verified instanceof TokenFault && verified.isTemporary
      ? refusal('unavailable', 'try again', { id })
      : refusal('unauthorized', 'a valid token of the same user is needed', { id })
  }
  const verified = hub.tokens.verify(token)
  return verified instanceof Promise ? verified.then(answer) : answer(verified)
}

/** What the connect hook has changed goes on, whatever the new token says. */
function withChanges(identity: Identity, { changed }: Identity): Identity {
  return changed === undefined ? identity : { ...identity, ...changed, changed }
}

function leaveForbidden(hub: Hub, client: Client): void {
  for (const room of [...client.rooms]) {
    if (client.permissions.canJoin(room)) continue
    hub.leave(client, room)
    client.reply({ type: 'left', room, reason: 'forbidden' })
  }
}

/** Strangers without a name are one user. */
function isSameUser({ identity }: Client, { user, isNameless = false }: Identity): boolean {
  return user === identity.user && isNameless === (identity.isNameless ?? false)
}

/** For `welcome` and `refreshed`. */
export function expiryOf({ expiresAt }: Client, nowMs: number): Expiry {
  if (expiresAt === Infinity) return {}
  return { expiresAt, expiresInMs: Math.max(0, Math.round(expiresAt - nowMs)) }
}
