import { type Asker, Asking, Denial, noSuchMethod } from '../hooks/hooks.ts'
import { resultText } from '../protocol/codec.ts'
import type { CallRequest } from '../protocol/envelope.ts'
import { type Answer, refusal } from './answers.ts'
import type { Client } from './client.ts'
import type { Hub } from './hub.ts'

/** Goes to the host's code. */
export function call({ hooks }: Hub, client: Client, { id, method, params }: CallRequest): Answer {
  const answer = (result: string | Denial) => {
    if (result instanceof Denial) return refusal(result.code, result.message, { id, room: undefined })
    return id === undefined ? undefined : resultText(id, result)
  }
  if (hooks?.call === undefined) return answer(noSuchMethod)
  const result = hooks.call(ask(client), askerOf(client), method, params)
  return result instanceof Promise ? result.then(answer) : answer(result)
}

/** Begins to ask about a client's request: it has one at a time. */
export function ask(client: Client): Asking {
  client.asking = new Asking()
  return client.asking
}

/** Whose request it is, as hooks are told. */
export function askerOf({ id, user, info }: Client): Asker {
  return { client: id, user, info }
}
