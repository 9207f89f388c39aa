import type { BridgeHost, TellListener } from '../bridge/bridge.ts'
import type { Dispatch } from './dispatch.ts'
import type { Turn } from './turn.ts'

interface HubSide {
  readonly node: string
  readonly turn: Turn
  readonly control: TellListener
  /** Clients past their 101 that are not closing. */
  readonly size: number
}

/** What the bridge sees of a hub. */
export function bridgeHostOf(hub: HubSide, { sequencer, early }: Dispatch): BridgeHost {
  return {
    node: hub.node,
    tells: hub.control,
    get joins() {
      return early.arrivals
    },
    deliver: (room, deliveries) => sequencer.deliver(room, deliveries),
    remember: (room, head, joinsThen, mark) => {
      if (room !== undefined && sequencer.takeBack(room, mark)) return false
      early.add(head, joinsThen)
      return true
    },
    catchUp: (room) => sequencer.catchUp(room),
    onceRested: (then) => hub.turn.onceRested(then),
    countClients: () => hub.size,
  }
}
