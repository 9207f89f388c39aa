import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Log } from '../log.ts'
import type { Client } from './client.ts'
import type { Hub } from './hub.ts'

/** Over how long the clients are told to go, and when those still there are destroyed. */
export interface DrainTimes {
  drainMs: number
  /** At least drainMs. */
  graceMs: number
}

/** Reconnects of a drained node are spread over time: about this many a second. */
const RECONNECTS_A_SECOND = 1000
const RECONNECT_SPREAD_MIN_MS = 500
/** After this long the loop gets its turn before more clients are told. */
const SLICE_MS = 8

/** A client that hands over has so long to be elsewhere, and at the end some time is left for those that are not. */
const HANDOVER_MS = 5000
const LAST_MS = 1000
const GONE = 'node shutting down'

/**
 * Ends the hub's clients after what was accepted is delivered. From the first moment on the hub says that it is
 * draining, so that no new clients come. A second call does nothing.
 */
export async function drain(hub: Hub, { drainMs, graceMs }: DrainTimes, log: Log): Promise<void> {
  if (!hub.beginDraining()) return
  const { clock } = hub
  const leaving = [...hub.clients()]
  const startedAt = clock.steadyMs()
  const endsAt = startedAt + graceMs
  const spreadMs = Math.max(RECONNECT_SPREAD_MIN_MS, (leaving.length * 1000) / RECONNECTS_A_SECOND)
  log.info({ clients: leaving.length, graceMs }, 'draining')
  let turnBeganAt = startedAt
  const staying: { client: Client; untilMs: number }[] = []
  for (const [index, client] of leaving.entries()) {
    if (clock.steadyMs() - turnBeganAt > SLICE_MS) {
      await nextTurn()
      turnBeganAt = clock.steadyMs()
    }
    const dueAt = startedAt + (drainMs * index) / leaving.length
    while (dueAt > clock.steadyMs()) await pause(hub, dueAt)
    const reconnectInMs = Math.round(RECONNECT_SPREAD_MIN_MS + Math.random() * spreadMs)
    const handoverMs = Math.min(HANDOVER_MS, Math.round(endsAt - clock.steadyMs()) - LAST_MS)
    if (client.handsOver && handoverMs > reconnectInMs) {
      client.reply({ type: 'closing', reconnectInMs, handoverMs })
      staying.push({ client, untilMs: clock.steadyMs() + handoverMs })
    } else {
      client.reply({ type: 'closing', reconnectInMs })
      client.disconnect('goingAway', GONE)
    }
  }
  for (const { client, untilMs } of staying) {
    while (client.isOpen && untilMs > clock.steadyMs()) await pause(hub, untilMs)
    client.disconnect('goingAway', GONE)
  }
  // Also with few clients, or none: a balancer must have the time to see that this node is not ready.
  while (clock.steadyMs() < startedAt + drainMs) await pause(hub, startedAt + drainMs)
  while (hub.unfinished > 0 && clock.steadyMs() < endsAt) await pause(hub, endsAt)
  hub.destroyClients()
}

/** Waits until `untilMs` of the steady clock, or until the last client or publish is done. */
function pause(hub: Hub, untilMs: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, Math.max(0, untilMs - hub.clock.steadyMs()))
    hub.onceFinished(() => {
      clearTimeout(timer)
      resolve()
    })
  })
}
