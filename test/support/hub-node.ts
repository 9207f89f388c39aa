import { Permissions } from '../../src/auth/permissions.ts'
import type { Bridge } from '../../src/bridge/bridge.ts'
import { systemClock } from '../../src/clock.ts'
import { Hub } from '../../src/hub/hub.ts'
import { ReadPump } from '../../src/hub/read-pump.ts'
import type { Presence } from '../../src/presence/presence.ts'
import { type PresenceRule, RoomRules } from '../../src/rules/room-rules.ts'
import { decodeFrames, FakeSocket } from './fake-socket.ts'
import { pollUntil } from './until.ts'

const silentLog = { debug() {}, info() {}, warn() {}, error() {} }
export const hubLimits = {
  maxClients: 1000,
  maxRoomsPerClient: 3,
  maxMessageBytes: 1000,
  outboxMaxBytes: 100_000,
  slowClient: 'disconnect' as const,
  pingIntervalMs: 60_000,
  pongTimeoutMs: 500,
  historySize: 10,
  historyTtlMs: 10_000,
  historyMaxBytes: 10_000,
  historyTotalBytes: 10_000,
  revocationTtlMs: 60_000,
  jwtClockToleranceMs: 0,
}
const all = new Permissions({ join: ['*'], publish: ['*'] }, 'u')

/** A client of a hub in this process; its socket takes everything. */
export class HubClient {
  readonly #socket = new FakeSocket()
  readonly #client
  readonly #pump: ReadPump

  constructor(hub: Hub, user: string, info?: string) {
    const identity = { user, permissions: all, expiresAt: Infinity, ...(info !== undefined && { info }) }
    this.#client = hub.connect(this.#socket, identity)
    this.#socket.onClose = () => this.#client.socketClosed()
    this.#pump = new ReadPump(hub, this.#client, {
      clock: systemClock,
      log: silentLog,
      limits: { messageRate: 0, messageBurst: 1 },
      maxNesting: 16,
    })
  }

  say(envelope: object): void {
    this.#pump.receive(Buffer.from(JSON.stringify(envelope)), false)
  }

  /** All envelopes so far, without the welcome. */
  got(): Record<string, unknown>[] {
    return decodeFrames(this.#socket).slice(1)
  }

  async hears(count: number): Promise<void> {
    await pollUntil(`${count} envelopes`, () => this.got().length >= count || undefined)
  }

  cut(): void {
    this.#client.socketClosed()
  }
}

/** A node in this process; rooms whose names begin with p, and `__proto__`, have presence. */
export function hubNode(
  bridge: Bridge,
  presence: Presence,
  rule: PresenceRule,
): { hub: Hub; connect(user: string, info?: string): HubClient } {
  const rules = new RoomRules(
    ['p*', '__proto__'].map((match) => ({ match, presence: rule })),
    hubLimits,
  )
  const hub = new Hub({ bridge, presence, limits: hubLimits, rules, log: silentLog })
  return { hub, connect: (user, info) => new HubClient(hub, user, info) }
}
