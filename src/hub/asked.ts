import { type Answer, Denial, type Hooks } from '../hooks/hooks.ts'
import type { Decoded } from '../protocol/codec.ts'
import type { ErrorEnvelope, JoinRequest, MessageRequest, Request } from '../protocol/envelope.ts'
import { refusal } from './answers.ts'
import { ask, askerOf } from './call-handler.ts'
import type { Client } from './client.ts'
import { joinRefusal } from './handlers.ts'
import type { Hub } from './hub.ts'
import { messageRefusal } from './message-handler.ts'

/** What goes on when a hook was asked: the request, changed perhaps, or the error that answers it. */
type Verdict = Decoded | Promise<Decoded>

/** Asks the hook that there is for such a request. What is refused without it, it is not asked about. */
export function askAbout(hooks: Hooks, hub: Hub, client: Client, request: Request): Verdict {
  if (!client.isOpen) return { ok: true, request }
  if (request.type === 'join' && hooks.join !== undefined) {
    if (joinRefusal(hub, client, request) !== undefined) return { ok: true, request }
    return settled(hooks.join(ask(client), askerOf(client), request.room), request)
  }
  if (request.type === 'message' && hooks.publish !== undefined) {
    if (messageRefusal(hub, client, request) !== undefined) return { ok: true, request }
    return settled(hooks.publish(ask(client), askerOf(client), request.room, request.content), request)
  }
  return { ok: true, request }
}

function settled(answer: Answer<string | undefined>, request: JoinRequest | MessageRequest): Verdict {
  const verdict = (content: string | undefined | Denial): Decoded => {
    if (content instanceof Denial) return { ok: false, error: errorOf(content, request) }
    if (content === undefined || request.type === 'join') return { ok: true, request }
    return { ok: true, request: { ...request, content } }
  }
  return answer instanceof Promise ? answer.then(verdict) : verdict(answer)
}

function errorOf({ code, message }: Denial, { id, room }: JoinRequest | MessageRequest): ErrorEnvelope {
  return refusal(code, message, { id, room })
}
