// A node in this process that breaks the protocol now and then, so that the checker can be seen to notice.
import type { AddressInfo } from 'node:net'
import Fastify from 'fastify'
import roomcast from '../../../src/app.ts'
import type { Bridge, Replay } from '../../../src/bridge/bridge.ts'
import type { Client } from '../../../src/hub/client.ts'
import type { Hub } from '../../../src/hub/hub.ts'
import { SECRET } from '../token.ts'
import type { Place } from './person.ts'

/** One of so many meets the fault. */
const EVERY = 10
/** Most rooms' histories must make way for others. */
const LITTLE_BYTES = 4096
const RESET = '"type":"reset"'

type Plant = (hub: Hub, bridge: Bridge) => void
type Answer = ReturnType<Bridge['publish']>

/** What can be planted, by what it does. */
export const plants = {
  nothing: () => {},
  'leaves one out of a recovery': (_hub, bridge) => {
    changeReplays(bridge, (replay) => ({ ...replay, messages: replay.messages.slice(1) }))
  },
  'recovers from one too far': (_hub, bridge) => {
    const replay = bridge.replay.bind(bridge)
    bridge.replay = (room, { since, ...rest }) =>
      replay(room, { since: since && { ...since, offset: since.offset + 1 }, ...rest })
  },
  'leaves out a live message': (hub) => {
    changeSends(hub, (send, n) => n % EVERY !== 0 && send())
  },
  'delivers one twice': (hub) => {
    changeSends(hub, (send, n) => {
      send()
      if (n % EVERY === 0) send()
    })
  },
  'changes the order of two': (hub) => {
    const held = new Map<string, () => void>()
    changeSends(hub, (send, n, to) => {
      const before = held.get(to)
      held.delete(to)
      if (before === undefined && n % EVERY === 0) held.set(to, send)
      else send()
      before?.()
    })
  },
  'publishes one twice': (_hub, bridge) => {
    changePublishes(bridge, (publish) => {
      publish()
      return publish()
    })
  },
  'acks what it has not published': (_hub, bridge) => {
    changePublishes(bridge, () => ({ scope: 'cluster', offset: 5 }))
  },
  'acks for this node alone': (_hub, bridge) => {
    changePublishes(bridge, () => ({ scope: 'node' }))
  },
  'writes numbers anew': (hub) => {
    const publish = hub.publishText.bind(hub)
    hub.publishText = (message) =>
      publish({ ...message, content: JSON.stringify(JSON.parse(message.content)) })
  },
  'says nothing of a new epoch': (hub) => {
    onConnect(hub, (client) => {
      const notify = client.notify.bind(client)
      client.notify = (frame) => {
        if (!frame.includes(RESET)) notify(frame)
      }
    })
  },
  'recovers in an epoch that is past': (_hub, bridge) => {
    const replay = bridge.replay.bind(bridge)
    bridge.replay = (room, request) => {
      const found = replay(room, request) as Replay
      return request.since === undefined ? found : { ...found, isComplete: true }
    }
  },
} satisfies Record<string, Plant>
export type PlantName = keyof typeof plants

export interface PlantedNode {
  place: Place
  close(): Promise<void>
}

/** With `little`, rooms often lose their history, as memory has no room for all of them. */
export async function startPlantedNode(name: PlantName, { little = false } = {}): Promise<PlantedNode> {
  const app = Fastify()
  await app.register(roomcast, {
    ...{ jwtSecret: SECRET, messageRate: 0, connectRateMax: 0 },
    ...(little && { historyTotalBytes: LITTLE_BYTES }),
  })
  await app.listen({ port: 0, host: '127.0.0.1' })
  const plant: Plant = plants[name]
  plant(app.hub, app.bridge)
  const { port } = app.server.address() as AddressInfo
  return { place: { index: 0, address: { host: '127.0.0.1', port } }, close: () => app.close() }
}

function changeReplays(bridge: Bridge, change: (replay: Replay) => Replay): void {
  const replay = bridge.replay.bind(bridge)
  bridge.replay = (room, request) => {
    const found = replay(room, request) as Replay
    return found.isComplete ? change(found) : found
  }
}

/** Every so often a publish to a room goes another way. */
function changePublishes(bridge: Bridge, change: (publish: () => Answer) => Answer): void {
  const publish = bridge.publish.bind(bridge)
  let count = 0
  bridge.publish = (publication) => {
    const usual = () => publish({ ...publication, once: undefined })
    return publication.room !== undefined && ++count % EVERY === 0 ? change(usual) : publish(publication)
  }
}

/** Every message to a client goes through `change`, with its number, and whom and which room it is for. */
function changeSends(hub: Hub, change: (send: () => void, n: number, to: string) => unknown): void {
  let count = 0
  onConnect(hub, (client) => {
    const send = client.send.bind(client)
    client.send = (frame, room) => {
      change(() => void send(frame, room), ++count, `${client.id} ${room}`)
      return true
    }
  })
}

function onConnect(hub: Hub, change: (client: Client) => void): void {
  const connect = hub.connect.bind(hub)
  hub.connect = (socket, identity) => {
    const client = connect(socket, identity)
    change(client)
    return client
  }
}
