import type { RedisRoomChannels } from '../bridge/redis-room-channels.ts'
import type { Clock, Timers } from '../clock.ts'
import { Gossip } from './gossip.ts'

/** Presence of all nodes on one Redis: they tell each other on a channel of each room, and nothing of it is stored. */
export class RedisPresence extends Gossip {
  constructor(channels: RedisRoomChannels, times: { clock: Clock; timers: Timers }) {
    super({ wire: channels, ...times })
    channels.use(this)
  }
}
