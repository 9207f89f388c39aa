import { z } from 'zod'
import { type Identity, userName } from '../auth/permissions.ts'
import type { Bridge, TellListener } from '../bridge/bridge.ts'
import type { Clock } from '../clock.ts'
import type { Log } from '../log.ts'
import { isRoomName, type Scope } from '../protocol/envelope.ts'
import type { Client } from './client.ts'
import { Closer } from './closer.ts'
import type { Membership } from './membership.ts'
import { type NodesAsked, type Question, Questions, summed } from './questions.ts'
import { type Revoke, Revoker } from './revoker.ts'

export interface ControlOptions {
  bridge: Bridge
  clients: ReadonlyMap<string, Client>
  membership: Membership
  clock: Clock
  log: Log
  limits: { revocationTtlMs: number; jwtClockToleranceMs: number }
}

/** What an operator's word came to. */
export interface Controlled {
  /**
   * `node`: the bridge is away, so only this node's clients are concerned for now. A revocation reaches the others as
   * soon as it is back; the rest is not made up for.
   */
  scope: Scope
  /** The clients that it was carried out on, of the nodes that have answered. */
  clients: number
  nodes: NodesAsked
}

/** RFC 6455 section 5.5: a Close has 125 bytes, two of them the code. */
const reason = z.string().regex(/^[\x20-\x7e]{1,123}$/)
const whom = z.union(
  [z.strictObject({ user: userName }), z.strictObject({ client: z.string().min(1).max(64) })],
  'whom: {user} or {client}',
)
const disconnecting = z.object({ whom, reason })
const removing = z.object({ user: userName, room: z.string().refine(isRoomName) })
const time = z.int().min(0).optional()
const revoked = z.union(
  [
    z.strictObject({ user: userName, issuedBefore: time }),
    z.strictObject({ jti: z.string().min(1).max(256), expiresAt: time }),
  ],
  'whose tokens: {user, issuedBefore?} or {jti, expiresAt?}, times in ms since 1970',
)
const clientCount = z.int().min(0)

/** Whom `disconnect` is for. */
export type Whom = z.infer<typeof whom>

/** What an operator may do to clients, on all nodes. */
export class Control implements TellListener {
  readonly questions: Questions
  readonly #revoker: Revoker
  readonly #disconnecting: Question<z.infer<typeof disconnecting>, number>
  readonly #removing: Question<z.infer<typeof removing>, number>

  constructor({ clients, membership, ...options }: ControlOptions) {
    const closer = new Closer(clients)
    const questions = new Questions(options.bridge, options.log)
    this.questions = questions
    this.#revoker = new Revoker({ ...options, questions, closer })
    this.#disconnecting = {
      kind: 'disconnect',
      with: disconnecting,
      answer: clientCount,
      carryOut: ({ whom, reason }) => {
        if ('user' in whom) return closer.end(whom, reason)
        const client = clients.get(whom.client)
        client?.disconnect('disconnected', reason)
        return client === undefined ? 0 : 1
      },
    }
    this.#removing = {
      kind: 'remove',
      with: removing,
      answer: clientCount,
      carryOut: ({ user, room }) => membership.remove(user, room),
    }
    questions.add(this.#disconnecting)
    questions.add(this.#removing)
  }

  /** Ends clients with 4403. Rejects with TypeError for what names nobody, or a reason that is not 1 to 123 characters of ASCII. */
  async disconnect(target: Whom, reason = 'disconnected'): Promise<Controlled> {
    return summed(
      await this.questions.ask(this.#disconnecting, checked(disconnecting, { whom: target, reason })),
    )
  }

  /** Has a user's clients leave a room, with `left` and the reason `removed`. Rejects with TypeError for no user or room. */
  async remove(target: { user: string; room: string }): Promise<Controlled> {
    return summed(await this.questions.ask(this.#removing, checked(removing, target)))
  }

  /** Revokes tokens; see Revoker. Rejects with TypeError for what names none. */
  async revoke(target: Revoke): Promise<Controlled> {
    return summed(await this.#revoker.revoke(checked(revoked, target) as Revoke))
  }

  /** Whether a token's holder may not come in, or not stay. */
  isRevoked(identity: Pick<Identity, 'user' | 'jti' | 'issuedAtMs'>): boolean {
    return this.#revoker.isRevoked(identity)
  }

  /** Resolves when this node knows what others have revoked, or that it cannot know now. */
  whenInformed(): Promise<void> {
    return this.#revoker.look()
  }

  hear(from: string, text: string): void {
    this.questions.hear(from, text)
  }

  missed(): void {
    void this.#revoker.look()
  }

  close(): void {
    this.questions.close()
    this.#revoker.close()
  }
}

function checked<T>(schema: z.ZodType<T>, value: unknown): T {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  throw new TypeError(z.prettifyError(parsed.error))
}
