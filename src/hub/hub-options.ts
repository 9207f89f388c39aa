import type { Tokens } from '../auth/tokens.ts'
import type { Bridge, HistoryLimits } from '../bridge/bridge.ts'
import type { Clock } from '../clock.ts'
import type { Hooks } from '../hooks/hooks.ts'
import type { Log } from '../log.ts'
import type { Presence } from '../presence/presence.ts'
import type { From } from '../protocol/envelope.ts'
import type { RoomRules, RuleDefaults } from '../rules/room-rules.ts'
import type { SlowPolicy } from './client.ts'
import type { ClientWatch } from './client-watch.ts'
import type { HeartbeatTimes } from './heartbeat.ts'
import type { MessageWatch, RoomWatch } from './room-watch.ts'

/** The limits and times that the hub keeps; units are in the names, meanings in docs/SETTINGS.md. */
export interface HubLimits extends HeartbeatTimes, RuleDefaults {
  maxClients: number
  maxRoomsPerClient: number
  maxMessageBytes: number
  outboxMaxBytes: number
  slowClient: SlowPolicy
  revocationTtlMs: number
  jwtClockToleranceMs: number
}

export interface HubOptions {
  bridge: Bridge
  presence: Presence
  limits: HubLimits
  /** None: the limits hold for all rooms. */
  rules?: RoomRules
  log: Log
  clock?: Clock
  /** Undefined when none is set. */
  hooks?: Hooks | undefined
  /** Undefined when nobody is to be told. */
  watch?: (ClientWatch & RoomWatch & MessageWatch) | undefined
  /** Whom clients' new tokens are shown to; without, none is taken. */
  tokens?: Tokens
}

/** A message to publish. `content` is valid JSON text, relayed as it stands. */
export interface HubMessage {
  room: string | undefined
  content: string
  from: From
  /** The client that must not get it. */
  exclude: string | undefined
  /** Makes the publish idempotent: the same user's same key in the same room is published once. */
  once: { user: string; key: string } | undefined
  /** What its room keeps; undefined for a message that is not kept. */
  history: HistoryLimits | undefined
  /** The sender's place in a trace; members see it where the room's rule says so. */
  traceparent?: string | undefined
}
