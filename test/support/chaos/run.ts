// One chaos run: a crowd on an arena, faults by a plan, and a recording of all of it.
import { pace } from '../until.ts'
import { type Arena, type Mode, openArena } from './arena.ts'
import { Crowd } from './crowd.ts'
import { Dice } from './dice.ts'
import { nodeOf } from './faults.ts'
import { planFor, type Step } from './plan.ts'
import { newRecording, type Recording } from './recording.ts'

export interface Run {
  recording: Recording
  plan: Step[]
  /** What nodes said on stderr, and how they ended, where that is not as it should be. */
  complaints: string[]
}

/** Starts everything, lets the faults happen, waits until all is well, and ends everything. */
export async function chaosRun(mode: Mode, seed: number, seconds: number): Promise<Run> {
  const recording = newRecording(seed, mode)
  const plan = planFor(mode, seconds, new Dice(seed))
  const arena = await openArena(mode)
  try {
    const places = () =>
      arena.nodes.filter(({ server }) => server?.alive && server.port > 0).map(({ place }) => place)
    const crowd = new Crowd({
      seed,
      recording,
      persons: 30,
      rooms: 5,
      roomsEach: 3,
      messagesASecond: 60,
      places,
    })
    arena.crowd = crowd
    await crowd.begin()
    await play(arena, plan, recording)
    recording.calmMs = performance.now()
    recording.wholeMs = await crowd.whole()
    await crowd.end()
  } finally {
    await arena.close()
  }
  return { recording, plan, complaints: complaintsOf(arena) }
}

/** Each step at its time; one whose family is at work is left out. */
async function play(arena: Arena, plan: readonly Step[], recording: Recording): Promise<void> {
  const startMs = performance.now()
  const busy = new Set<string>()
  const running: Promise<void>[] = []
  for (const step of plan) {
    await pace(Math.max(0, startMs + step.atMs - performance.now()))
    const { family } = step.kind
    if (busy.has(family)) continue
    busy.add(family)
    running.push(strike(arena, step, recording).finally(() => busy.delete(family)))
  }
  await Promise.all(running)
}

async function strike(arena: Arena, { kind, draw }: Step, { faults, mode }: Recording): Promise<void> {
  const own = [nodeOf(arena, draw).index]
  // A Cluster's relays stand before its servers, for all nodes.
  const nodes = { node: own, link: mode === 'single' ? own : undefined, client: [], redis: undefined }
  const fault = {
    kind: kind.name,
    detail: JSON.stringify(draw),
    nodes: nodes[kind.family],
    isLossy: kind.lossyIn.some((one) => one === mode),
    startMs: performance.now(),
    endMs: Infinity,
  }
  faults.push(fault)
  try {
    await kind.run(arena, draw)
  } catch (error) {
    // A Redis that is away, or in the middle of a failover, refuses to be bothered.
    fault.detail += ` ${String(error)}`
  }
  fault.endMs = performance.now()
}

function complaintsOf({ nodes }: Arena): string[] {
  return nodes.flatMap(({ index, servers }) =>
    servers.flatMap(({ stderr, exit }) => {
      const isSound = exit?.signal === 'SIGKILL' || exit?.code === 0
      return [
        ...(stderr === '' ? [] : [`node ${index}: ${stderr}`]),
        ...(isSound ? [] : [`node ${index} ended with ${JSON.stringify(exit)}`]),
      ]
    }),
  )
}
