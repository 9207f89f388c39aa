import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Revoked } from '../auth/revocations.ts'
import type { Client } from './client.ts'

/** Clients that are to be ended: of a user or of a token, where issued before a time. */
interface Ending {
  issuedBefore: number
  reason: string
  count: number
}

/** Ends clients by user and by token. All that is asked for in one turn is done in one pass over the clients. */
export class Closer {
  readonly #clients: ReadonlyMap<string, Client>
  #users = new Map<string, Ending[]>()
  #tokens = new Map<string, Ending[]>()
  #pass: Promise<void> | undefined

  constructor(clients: ReadonlyMap<string, Client>) {
    this.#clients = clients
  }

  /** Ends with 4403 those with tokens of before `issuedBefore` (ms since 1970); resolves with how many that were. */
  async end(whose: Revoked, reason: string, issuedBefore = Infinity): Promise<number> {
    const ending = { issuedBefore, reason, count: 0 }
    if ('user' in whose) addTo(this.#users, whose.user, ending)
    else addTo(this.#tokens, whose.jti, ending)
    this.#pass ??= nextTurn().then(() => this.#run())
    await this.#pass
    return ending.count
  }

  #run(): void {
    const [users, tokens] = [this.#users, this.#tokens]
    this.#users = new Map()
    this.#tokens = new Map()
    this.#pass = undefined
    for (const client of this.#clients.values()) {
      end(client, users.get(client.user))
      if (client.identity.jti !== undefined) end(client, tokens.get(client.identity.jti))
    }
  }
}

function end(client: Client, endings: readonly Ending[] = none): void {
  for (const ending of endings) {
    // A token that does not say when it was issued counts as issued before anything.
    if (!client.isOpen || (client.identity.issuedAtMs ?? -Infinity) >= ending.issuedBefore) continue
    ending.count++
    client.disconnect('disconnected', ending.reason)
  }
}
const none: readonly Ending[] = []

function addTo(map: Map<string, Ending[]>, key: string, ending: Ending): void {
  const known = map.get(key)
  if (known === undefined) map.set(key, [ending])
  else known.push(ending)
}
