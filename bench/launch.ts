// Starts a server on its core and ends it by its pid.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'

const START_MS = 20_000
/** util-linux: the kernel ends a server whose benchmark was killed. */
const SETPRIV = '/usr/bin/setpriv'
const endWithUs = existsSync(SETPRIV) ? [SETPRIV, '--pdeathsig', 'KILL'] : []

const running = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.once(signal, () => process.exit(1))

/** What this process may run on: fewer than the machine has, in many containers. */
function allowedCores(): number[] {
  const list = /Cpus_allowed_list:\s*(\S+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? ''
  return list.split(',').flatMap((range) => {
    const [first = 0, last = first] = range.split('-').map(Number)
    return Array.from({ length: last - first + 1 }, (_, n) => first + n)
  })
}

const [serverCore, loadCore] = allowedCores()

/** Why servers and generator are not on cores of their own; undefined when they are. */
export const unpinned =
  loadCore === undefined
    ? 'there is one core'
    : spawnSync('taskset', ['--version']).error !== undefined
      ? 'taskset is not installed (Debian: util-linux)'
      : undefined

/** The words in front of a command that keep it on its core. */
export function pinned(who: 'server' | 'load'): string[] {
  return unpinned === undefined ? ['taskset', '-c', String(who === 'server' ? serverCore : loadCore)] : []
}

export interface Launched {
  pid: number
  port: number
  /** Resolves when the process is gone. */
  stop(): Promise<void>
}

export interface LaunchOptions {
  env?: Record<string, string>
  /** The line that says it listens; the port is in it unless `port` is given. */
  ready?: RegExp
  port?: number
}

/** Resolves when the server listens; rejects with what it printed when it does not. */
export async function launch(
  command: string[],
  { env = {}, ready = /listening/, port }: LaunchOptions = {},
): Promise<Launched> {
  const [file, ...args] = [...endWithUs, ...pinned('server'), ...command]
  const child = spawn(file as string, args, {
    env: { PATH: process.env.PATH, HOME: process.env.HOME, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  running.add(child)
  const gone = new Promise<void>((resolve) => {
    child.once('close', resolve)
    child.once('error', () => resolve())
  })
  void gone.then(() => running.delete(child))
  const stop = async () => {
    child.kill('SIGKILL')
    await gone
  }
  try {
    const line = await lineThatSays(child, ready)
    const printed = /"port":(\d+)/.exec(line)?.[1]
    return { pid: child.pid as number, port: port ?? Number(printed), stop }
  } catch (error) {
    await stop()
    throw error
  }
}

function lineThatSays(child: ChildProcess, ready: RegExp): Promise<string> {
  let printed = ''
  return new Promise((resolve, reject) => {
    const fail = (what: string) => reject(new Error(`${what}; it printed:\n${printed.slice(-2000)}`))
    const timer = setTimeout(() => fail(`not ready within ${START_MS} ms`), START_MS)
    child.once('error', (error) => fail(error.message))
    child.once('close', (code) => fail(`ended with ${code} before it was ready`))
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      printed += text
    })
    if (child.stdout === null) return
    createInterface({ input: child.stdout }).on('line', (line) => {
      printed += `${line}\n`
      if (!ready.test(line)) return
      clearTimeout(timer)
      resolve(line)
    })
  })
}
