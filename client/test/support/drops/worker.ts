// A process of the drop test's clients. The test forks it, and gives its crowd as JSON in the first argument.
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { connect } from '../../../../test/support/client.ts'
import { pace, pollUntil } from '../../../../test/support/until.ts'
import { HubFollower } from './hub-follower.ts'
import { LightFollower } from './light-follower.ts'
import {
  type Answer,
  type Content,
  type Crowd,
  CUT_EVERY_MS,
  EVERY_MS,
  type Follower,
  type Order,
  type Report,
  ROOM,
} from './place.ts'

/** So many are on their way into the room at a time. */
const BATCH = 50
const READ_BYTES = 65_536
const DELAY_RESOLUTION_MS = 2

const crowd = JSON.parse(process.argv[2] ?? '') as Crowd
const said = { last: -1 }
const caughtUpMs: number[] = []
const ends: Record<string, number> = {}
const followers: Follower[] = []
const cuts = new Map<Follower, NodeJS.Timeout>()
const loop = monitorEventLoopDelay({ resolution: DELAY_RESOLUTION_MS })
let cpu = process.cpuUsage()
let cutSinceMs = 0

function makeFollower(buffer: Buffer): Follower {
  const { kind, address, token } = crowd
  const onCaughtUp = (ms: number) => caughtUpMs.push(ms)
  const onEnd = (what: string) => {
    ends[what] = (ends[what] ?? 0) + 1
  }
  if (kind === 'light') return new LightFollower({ address, token, buffer, onCaughtUp, onEnd })
  const url = `http://${address.host}:${address.port}/`
  return new HubFollower({ url, token, said, onCaughtUp, onEnd })
}

async function join(): Promise<void> {
  const buffer = Buffer.alloc(READ_BYTES)
  while (followers.length < crowd.count) {
    const batch = Array.from({ length: Math.min(BATCH, crowd.count - followers.length) }, () =>
      makeFollower(buffer),
    )
    for (const follower of batch) follower.begin()
    followers.push(...batch)
    await pollUntil('the batch is there', () => batch.every(({ isJoined }) => isJoined))
  }
  await pollUntil('all are in the room', () => followers.every(({ isJoined }) => isJoined), 60_000)
}

/** The first cuts are spread over one round. */
function cut(): void {
  loop.enable()
  cpu = process.cpuUsage()
  cutSinceMs = performance.now()
  const cutIn = (follower: Follower, ms: number) => {
    const timer = setTimeout(() => {
      follower.drop()
      cutIn(follower, CUT_EVERY_MS * (0.75 + Math.random() / 2))
    }, ms)
    cuts.set(follower, timer)
  }
  for (const follower of followers) cutIn(follower, CUT_EVERY_MS * Math.random())
}

/** At its times, whether the server keeps up or not. */
async function talk(seconds: number, padBytes: number): Promise<number> {
  const writer = await connect(crowd.address, 'writer')
  await writer.join(ROOM)
  const pad = 'x'.repeat(padBytes)
  const startMs = performance.now()
  for (let n = 0; n < (seconds * 1000) / EVERY_MS; n++) {
    const restMs = startMs + n * EVERY_MS - performance.now()
    if (restMs > 0) await pace(restMs)
    const content: Content = { n, pad }
    said.last = n
    writer.say(ROOM, content)
  }
  return said.last
}

async function finish(last: number): Promise<Report> {
  for (const timer of cuts.values()) clearTimeout(timer)
  loop.disable()
  const { user, system } = process.cpuUsage(cpu)
  const cpuPart = (user + system) / 1000 / (performance.now() - cutSinceMs)
  const haveAll = () => followers.every(({ seen }) => seen.next === last + 1)
  await pollUntil('all have all', haveAll, 120_000).catch(() => {})
  const sum = (of: (follower: Follower) => number) =>
    followers.reduce((total, follower) => total + of(follower), 0)
  return {
    clients: followers.length,
    missing: sum(({ seen }) => last + 1 - seen.count),
    away: sum(({ isJoined }) => (isJoined ? 0 : 1)),
    faults: sum(({ seen }) => seen.faults),
    returns: sum(({ returns }) => returns),
    caughtUpMs,
    ends,
    loopP99Ms: Math.max(0, loop.percentile(99) / 1e6 - DELAY_RESOLUTION_MS),
    loopMaxMs: Math.max(0, loop.max / 1e6 - DELAY_RESOLUTION_MS),
    cpuPart,
  }
}

async function carryOut(order: Order): Promise<Answer> {
  if (order.do === 'join') await join()
  else if (order.do === 'cut') cut()
  else if (order.do === 'talk') return { did: 'talk', last: await talk(order.seconds, order.padBytes) }
  else return { did: 'finish', report: await finish(order.last) }
  return { did: order.do }
}

process.on('message', async (order: Order) => {
  process.send?.(await carryOut(order))
})
// The test is gone, or has all that it wants.
process.on('disconnect', () => process.exit())
