import cluster, { type Worker } from 'node:cluster'
import type { Config } from './config.ts'
import type { Log } from './log.ts'
import type { Service } from './start.ts'

/** A worker that dies is replaced after this long; one that dies at its start must not keep the machine busy. */
const REPLACE_MS = 250
const REPLACE_MAX_MS = 10_000
/** Beyond the grace: a worker that is frozen never ends by itself. */
const KILL_AFTER_MS = 800
/** The exit code of a worker whose settings cannot be honoured. */
const CANNOT_START = 1
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

  const fork = () => {
    const startedAt = performance.now()
    const worker = cluster.fork(env)
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
    worker.on('error', (err) => {
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
  return Object.values(cluster.workers ?? {}).filter((worker) => worker !== undefined)
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
