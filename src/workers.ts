import type { ChildProcess } from 'node:child_process'
import cluster, { type Worker } from 'node:cluster'
import { CANNOT_START, cannotStart, reasonOf } from './cannot-start.ts'
import type { Config } from './config.ts'
import { Descriptors } from './descriptors.ts'
import type { Log } from './log.ts'
import type { Service } from './start.ts'
import { WorkerMetrics } from './worker-metrics.ts'

/** A worker that dies is replaced after this long; one that dies at its start must not keep the machine busy. */
const REPLACE_MS = 250
const REPLACE_MAX_MS = 10_000
/** Beyond the grace: a worker that is frozen never ends by itself. */
const KILL_AFTER_MS = 800
/** A worker that has lived this long did not die at its start. */
const SETTLED_MS = 10_000

/**
 * Runs `config.workers` processes on one port, each a node of its own, and replaces those that die. `env` is what
 * they see beside this process's own environment; `exit` ends this one when all have ended.
 */
export function startWorkers(
  config: Config,
  env: Record<string, string>,
  log: Log,
  exit: () => Promise<void>,
): Service {
  let isStopping = false
  let earlyDeaths = 0
  let hasListened = false
  const descriptors = new Descriptors(log)
  descriptors.compareWith(config.maxClients)
  descriptors.watch()
  const metrics = new WorkerMetrics()

  const fork = () => {
    const startedAt = performance.now()
    const worker = cluster.fork(env)
    cutWhatIsLost(worker.process)
    metrics.add(worker)
    worker.once('listening', () => {
      hasListened = true
    })
    const replace = (code: number | null, signal: string | null) => {
      if (isStopping) return
      // What keeps the first from starting will keep them all; it has said so.
      if (!hasListened && code === CANNOT_START) process.exit(CANNOT_START)
      earlyDeaths = performance.now() - startedAt < SETTLED_MS ? earlyDeaths + 1 : 0
      const inMs = Math.min(REPLACE_MAX_MS, REPLACE_MS * 2 ** earlyDeaths)
      log.warn({ worker: worker.process.pid, code, signal, inMs }, 'a worker died and is replaced')
      setTimeout(() => {
        if (!isStopping) fork()
      }, inMs)
    }
    worker.once('exit', replace)
    worker.on('message', (message: { cannotStart?: string }) => {
      if (message.cannotStart === undefined) return
      if (!hasListened) cannotStart(message.cannotStart)
      log.error({ worker: worker.process.pid, reason: message.cannotStart }, 'a worker cannot start')
    })
    worker.on('error', (err) => {
      const reason = reasonOf(err)
      if (!hasListened && reason !== undefined) cannotStart(reason)
      log.error({ err }, 'a worker failed')
      // One that could not be made at all has no exit.
      if (worker.process.pid === undefined) replace(null, null)
    })
  }
  for (let n = 0; n < config.workers; n++) fork()

  return {
    stop: async (signal) => {
      isStopping = true
      log.info({ signal, workers: living().length }, 'stopping the workers')
      await Promise.all(living().map((worker) => end(worker, config.shutdownGraceMs + KILL_AFTER_MS)))
      await exit()
    },
  }
}

function living(): Worker[] {
  return Object.values(cluster.workers ?? {}).filter(
    (worker) => worker?.process.pid !== undefined,
  ) as Worker[]
}

/** What node:cluster and its workers tell each other. Not documented: of words that do not come nothing depends here. */
interface ClusterMessage {
  cmd?: string
  act?: string
  ack?: number
}

/** A worker has no descriptor for what was sent to it. */
const NOT_RECEIVED = 'NODE_HANDLE_NACK'

/**
 * Cuts a connection that was on its way to a worker which died, or could not receive it: node:cluster forgets those,
 * and their peers would wait for ever.
 */
function cutWhatIsLost(child: ChildProcess): void {
  // It could not be made.
  if (child.pid === undefined) return
  let onItsWay: { close(): void } | undefined
  const send = child.send.bind(child) as (...values: unknown[]) => boolean
  child.send = (message: unknown, ...values: unknown[]) => {
    // One at a time: the next is sent when the worker has answered.
    if ((message as ClusterMessage).act === 'newconn') onItsWay = values[0] as typeof onItsWay
    return send(message, ...values)
  }
  // Before node:cluster hears it, which sends the next.
  child.prependListener('internalMessage', ({ cmd, ack }: ClusterMessage) => {
    if (cmd === NOT_RECEIVED) onItsWay?.close()
    if (cmd === NOT_RECEIVED || ack !== undefined) onItsWay = undefined
  })
  child.once('exit', () => onItsWay?.close())
}

/**
 * In a worker: calls `stop` once a connection could not be received, for want of a descriptor. node:cluster waits for
 * an answer about that one and gives this worker no other, so one in its place must begin anew.
 */
export function onceForgotten(stop: (cause: string) => void, log: Log): void {
  const onMessage = (message: ClusterMessage, handle?: unknown) => {
    if (message.cmd !== 'NODE_HANDLE' || handle) return
    log.error({}, 'a connection could not be handed over: this worker is replaced')
    stop('lost connection')
  }
  process.on('internalMessage' as 'message', onMessage as NodeJS.MessageListener)
}

/** A worker drains on SIGTERM and ends by itself within its grace; one that cannot is killed. */
function end(worker: Worker, deadlineMs: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => worker.process.kill('SIGKILL'), deadlineMs)
    worker.once('exit', () => {
      clearTimeout(timer)
      resolve()
    })
    worker.process.kill('SIGTERM')
  })
}
