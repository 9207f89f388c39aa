import type { Bridge } from '../bridge/bridge.ts'
import { type Clock, systemTimers } from '../clock.ts'
import type { Presence } from '../presence/presence.ts'
import type { RoomRules } from '../rules/room-rules.ts'
import type { Client } from './client.ts'
import type { Counters } from './counters.ts'
import { Deliverer } from './deliverer.ts'
import { EarlyMemory } from './early-memory.ts'
import { Echoes } from './echoes.ts'
import { Filler } from './filler.ts'
import { Membership } from './membership.ts'
import { Presences } from './presences.ts'
import type { RoomWatch } from './room-watch.ts'
import { Rooms } from './rooms.ts'
import { Sequencer } from './sequencer.ts'

export interface DispatchOptions {
  node: string
  bridge: Bridge
  presence: Presence
  rules: RoomRules
  clients: ReadonlyMap<string, Client>
  counters: Counters
  clock: Clock
  limits: { outboxMaxBytes: number }
  watch?: RoomWatch | undefined
}

/** All that takes part between the bridge and a client's `send`, put together. */
export class Dispatch {
  readonly rooms: Rooms
  readonly early: EarlyMemory
  readonly echoes = new Echoes()
  readonly sequencer: Sequencer
  readonly membership: Membership
  readonly presences: Presences

  constructor(options: DispatchOptions) {
    const { node, bridge, presence, rules, clients, counters, clock, limits, watch } = options
    const { outboxMaxBytes: maxBytes } = limits
    const presences: Presences = new Presences({
      node,
      presence,
      clock,
      timers: systemTimers,
      isUsed: (room) => rooms.get(room) !== undefined,
      watch,
    })
    const rooms = new Rooms(rules, presences, (room) => {
      bridge.unsubscribe(room.name)
      if (room.presence !== undefined) presences.closeUnused(room.name)
    })
    const early = new EarlyMemory(clock)
    const deliverer = new Deliverer(clients, early, clock)
    const { echoes } = this
    const filler = new Filler({ bridge, echoes, rooms, deliverer, clients, counters, clock })
    this.presences = presences
    this.rooms = rooms
    this.early = early
    this.sequencer = new Sequencer({ rooms, deliverer, filler, early, clients, counters, clock, maxBytes })
    const { sequencer } = this
    this.membership = new Membership({
      bridge,
      rooms,
      deliverer,
      filler,
      sequencer,
      early,
      counters,
      maxBytes,
    })
  }
}
