import type { Dice } from '../../../test/support/chaos/dice.ts'
import { pace } from '../../../test/support/until.ts'
import type { Place } from './chaos-place.ts'
import type { Tab } from './chaos-tab.ts'

/** Between the end of one fault and the next. */
const REST_MS = { from: 200, to: 2500 }

export interface Stage {
  dice: Dice
  place: Place
  /** The tabs that are open; a fault may put another in a tab's place. */
  tabs: Tab[]
  /** Opens a tab of the user with that number. */
  open(n: number): Tab
  isOver: boolean
}

interface Fault {
  name: string
  weight: number
  inflict(stage: Stage): Promise<void>
}

const some = ({ dice, tabs }: Stage) => tabs.filter(() => dice.chance(dice.next()))

const faults: Fault[] = [
  {
    name: 'sockets are cut',
    weight: 4,
    inflict: async (stage) => {
      for (const tab of some(stage)) tab.cut()
    },
  },
  {
    name: 'a socket stalls',
    weight: 2,
    inflict: async ({ dice, tabs }) => dice.pick(tabs).stall(),
  },
  {
    name: 'a tab is closed, and another opened',
    weight: 3,
    inflict: async ({ dice, tabs, open }) => {
      const n = dice.int(0, tabs.length)
      tabs[n]?.close()
      tabs[n] = open(n)
    },
  },
  {
    name: 'a node is killed',
    weight: 2,
    inflict: async ({ dice, place }) => {
      const index = dice.int(0, place.nodes.length)
      place.nodes[index]?.signal('SIGKILL')
      await pace(dice.int(0, 1000))
      await place.restart(index)
    },
  },
  {
    name: 'a node is frozen',
    weight: 1,
    inflict: async ({ dice, place }) => {
      const node = dice.pick(place.nodes)
      node.signal('SIGSTOP')
      await pace(dice.int(200, 5000))
      node.signal('SIGCONT')
    },
  },
  {
    name: 'all nodes are deployed anew, one after the other',
    weight: 1,
    inflict: async ({ place }) => {
      for (const [index, node] of [...place.nodes].entries()) {
        node.signal('SIGTERM')
        await place.restart(index)
      }
    },
  },
  {
    name: 'Redis is killed',
    weight: 1,
    inflict: async ({ dice, place }) => {
      await place.redis.kill()
      await pace(dice.int(0, 3000))
      await place.restartRedis()
    },
  },
  {
    name: 'Redis is frozen',
    weight: 1,
    inflict: async ({ dice, place }) => {
      place.redis.freeze()
      await pace(dice.int(200, 3000))
      place.redis.thaw()
    },
  },
]

/** One fault after the other, until the stage is over. */
export async function inflictFaults(stage: Stage, tell: (text: string) => void): Promise<void> {
  while (!stage.isOver) {
    await pace(stage.dice.int(REST_MS.from, REST_MS.to))
    const fault = stage.dice.weighted(faults)
    tell(fault.name)
    await fault.inflict(stage)
  }
}
