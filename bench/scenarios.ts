import type { LoadOptions } from './load.ts'
import type { ServerName } from './servers.ts'

/** The figure that a scenario is about, and that its chart shows. */
export type Measure =
  | 'cpuPerDelivery'
  | 'peak'
  | 'p99'
  | 'crossP99'
  | 'memory'
  | 'cpuPerConnect'
  | 'cpuPerVisit'
  | 'connects'

export interface Scenario {
  name: string
  title: string
  /** One sentence for the report. */
  about: string
  load: LoadOptions
  servers: readonly ServerName[]
  measure: Measure
}

const EVERYBODY = ['roomcast', 'ws-loop', 'socket-io', 'bun', 'gorilla', 'gorilla-frames'] as const
const ONE_AND_TWO = ['roomcast', 'roomcast-2'] as const

const base: LoadOptions = { members: 500, rooms: 1, size: 64, dialing: 16, warmS: 1.5, runS: 4, settleS: 1 }

function fanOut(window: number): Scenario {
  return {
    name: `fan-out-${window}`,
    title: `500 members, window ${window}`,
    about: `One room of 500, one publisher, always ${window} messages of 64 bytes in flight.`,
    load: { ...base, window },
    servers: EVERYBODY,
    measure: 'cpuPerDelivery',
  }
}

function slow(share: number): Scenario {
  const who = share === 0 ? 'all of them read' : `${share * 100} % never read`
  return {
    name: share === 0 ? 'slow-none' : 'slow-10',
    title: share === 0 ? 'Slow readers: none, for comparison' : 'Slow readers: 10 %',
    about: `100 members, 100 messages of 16 KiB a second; ${who}. Latency is that of the others.`,
    load: { ...base, members: 100, size: 16_384, rate: 100, slow: share, warmS: 1, runS: 8 },
    servers: EVERYBODY,
    measure: 'p99',
  }
}

const speakers: LoadOptions = { ...base, members: 200, everybody: true }

const full: Scenario[] = [
  fanOut(8),
  fanOut(64),
  {
    name: 'rooms',
    title: '1,000 clients in 100 rooms',
    about: '10 members a room, one publisher each, 8 messages of 64 bytes in flight in each room.',
    load: { ...base, members: 1000, rooms: 100, window: 8 },
    servers: EVERYBODY,
    measure: 'cpuPerDelivery',
  },
  {
    name: 'paced',
    title: 'Paced: 100 messages a second to 500 members',
    about: 'One room of 500, a message of 64 bytes every 10 ms: 50,000 deliveries a second.',
    load: { ...base, rate: 100 },
    servers: EVERYBODY,
    measure: 'p99',
  },
  {
    name: 'large-4k',
    title: 'Contents of 4 KiB',
    about: 'One room of 500, 8 messages in flight.',
    load: { ...base, size: 4096, window: 8 },
    servers: EVERYBODY,
    measure: 'cpuPerDelivery',
  },
  {
    name: 'large-64k',
    title: 'Contents of 64 KiB',
    about: 'One room of 100, 4 messages in flight.',
    load: { ...base, members: 100, size: 65536, window: 4 },
    servers: EVERYBODY,
    measure: 'cpuPerDelivery',
  },
  {
    name: 'one-room',
    title: 'One room of 10,000',
    about: 'One publisher, 8 messages of 64 bytes in flight.',
    load: { ...base, members: 10_000, window: 8 },
    servers: EVERYBODY,
    measure: 'cpuPerDelivery',
  },
  {
    name: 'everybody',
    title: 'Everybody speaks, saturated',
    about: 'One room of 200, each of whom always has 8 messages of 64 bytes in flight.',
    load: { ...speakers, window: 8 },
    servers: EVERYBODY,
    measure: 'cpuPerDelivery',
  },
  {
    name: 'everybody-paced',
    title: 'Everybody speaks, 20 messages a second each',
    about: 'One room of 200, a message of 64 bytes every 50 ms from each: 796,000 deliveries a second.',
    load: { ...speakers, rate: 4000 },
    servers: EVERYBODY,
    measure: 'cpuPerDelivery',
  },
  {
    name: 'connect-storm',
    title: 'Connect storm: 5,000 clients with a JWT',
    about: '64 connects under way at once: TCP, upgrade, token, join.',
    load: { ...base, members: 5000, dialing: 64, runS: 0 },
    servers: EVERYBODY,
    measure: 'connects',
  },
  {
    name: 'idle',
    title: '10,000 idle clients',
    about: '10,000 clients connect one after the other and join one room; then nothing happens for 3 s.',
    load: { ...base, members: 10_000, dialing: 1, settleS: 3, runS: 0 },
    servers: EVERYBODY,
    measure: 'memory',
  },
  {
    name: 'presence-storm',
    title: 'Presence: 10,000 come and go',
    about:
      '10,000 users connect and join one room, 64 at once, and all leave at one time. With presence, each of them is told who is there and of all changes.',
    load: { ...base, members: 10_000, dialing: 64, runS: 0 },
    servers: ['roomcast', 'roomcast-presence'],
    measure: 'cpuPerVisit',
  },
  {
    name: 'two-nodes-paced',
    title: 'Two nodes over Redis, 20,000 deliveries a second',
    about: 'One room of 500, half of it on each node, 40 messages of 64 bytes a second.',
    load: { ...base, rate: 40 },
    servers: ONE_AND_TWO,
    measure: 'crossP99',
  },
  {
    name: 'two-nodes-64',
    title: 'Two nodes over Redis, window 64',
    about: 'One room of 500, half of it on each node, 64 messages of 64 bytes in flight.',
    load: { ...base, window: 64 },
    servers: ONE_AND_TWO,
    measure: 'cpuPerDelivery',
  },
  slow(0),
  slow(0.1),
]

/** The scenarios of --quick, with fewer clients: under 3 minutes on two cores, with installing and building. */
const quickMembers: Record<string, number> = {
  'fan-out-8': 500,
  'fan-out-64': 500,
  rooms: 1000,
  'connect-storm': 1000,
  idle: 2000,
}

function hasten(scenario: Scenario): Scenario[] {
  const members = quickMembers[scenario.name]
  if (members === undefined) return []
  const { load } = scenario
  const runS = load.runS === 0 ? 0 : 1
  return [{ ...scenario, load: { ...load, members, warmS: 0.5, runS, settleS: 0.2 } }]
}

export interface Bounds {
  quick: boolean
  /** Of a process: each client is one, and it needs some for itself. */
  maxFiles: number
  /** For a trial on a machine that others use. */
  maxMembers?: number
  maxRunS?: number
}

function fit(scenario: Scenario, { maxFiles, maxMembers = Infinity, maxRunS = Infinity }: Bounds): Scenario {
  const { load } = scenario
  const rooms = Math.min(load.rooms, Math.max(1, Math.floor(maxMembers / 2)))
  const members = Math.min(load.members, maxMembers, maxFiles - 256 - rooms)
  const [warmS, runS] = [Math.min(load.warmS, maxRunS), Math.min(load.runS, maxRunS)]
  return { ...scenario, load: { ...load, members, rooms, warmS, runS } }
}

/** Says so where there are fewer than the scenario's name promises. */
function tell(chosen: Scenario, { load }: Scenario): Scenario {
  const { members, rooms } = chosen.load
  if (members === load.members && rooms === load.rooms) return chosen
  const count = `${members.toLocaleString('en-US')} members in ${rooms} ${rooms === 1 ? 'room' : 'rooms'}`
  return { ...chosen, about: `${chosen.about} **Here only ${count}.**` }
}

export function scenarios(bounds: Bounds): Scenario[] {
  return full.flatMap((scenario) => {
    const chosen = bounds.quick ? hasten(scenario) : [scenario]
    return chosen.map((one) => tell(fit(one, bounds), scenario))
  })
}
