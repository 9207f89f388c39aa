// A real server process on a free port of the loopback; ended by its own pid and never left behind.
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { get } from 'node:http'
import { get as getOverTls } from 'node:https'
import { createInterface } from 'node:readline'
import { SECRET } from './token.ts'
import { Notifier } from './until.ts'

/** ROOMCAST_DIST names another build than dist/. */
const TLS_PRELOAD = new URL('tls-preload.mjs', import.meta.url).href
const ENTRY = `${process.env.ROOMCAST_DIST ?? 'dist'}/src/server.js`
const START_MS = 30_000
const STOP_MS = 15_000

export type Env = Record<string, string>
export type LogLine = Record<string, unknown>

export interface Health {
  /** The HTTP status; the rest is the body. */
  code: number
  status: string
  clients: number
  rooms: number
  [key: string]: unknown
}

export interface Exit {
  code: number | null
  signal: NodeJS.Signals | null
}

export interface StartOptions {
  /** A command in front of node that ends in exec, so that the pid stays the server's. */
  prefix?: string[]
  /** Where the tests reach the server, if not at its HOST. */
  host?: string
  /** Lets the process start (or fail) without waiting for its `listening` line. */
  waitForReady?: boolean
}

/** util-linux: has the kernel end the server when the test's process is killed, as tap does after its time limit. */
const SETPRIV = '/usr/bin/setpriv'
const endWithUs = existsSync(SETPRIV) ? [SETPRIV, '--pdeathsig', 'KILL'] : []

const running = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})
// A test that is ended from outside, too, leaves no process and no network behind: 'exit' comes only this way.
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.once(signal, () => process.exit(1))

/** Starts a server with these settings; JWT_SECRET is SECRET unless given, and an empty value unsets a name. */
export async function startServer(env: Env = {}, options: StartOptions = {}): Promise<Server> {
  const server = new Server(env, options)
  if (options.waitForReady !== false) await server.ready()
  return server
}

export class Server {
  readonly process: ChildProcess
  readonly pid: number
  readonly host: string
  /** Whether it speaks TLS: TEST_TLS_CERT and TEST_TLS_KEY are set, for it or for all servers of a test. */
  readonly tls: boolean
  /** Every line of stdout, as printed. */
  readonly stdout: string[] = []
  /** Everything on stderr; a sound server prints nothing there. */
  stderr = ''
  port = 0
  exit: Exit | undefined
  readonly #events = new Notifier()

  constructor(env: Env, { prefix = [], host }: StartOptions) {
    // As many clients as descriptors allow on most machines: more would be warned of.
    const settings = { PORT: '0', HOST: '127.0.0.1', JWT_SECRET: SECRET, MAX_CLIENTS: '10000', ...env }
    const set = Object.entries(settings).filter(([, value]) => value !== '')
    const { TEST_TLS_CERT = '', TEST_TLS_KEY = '' } = { ...process.env, ...env }
    this.tls = TEST_TLS_CERT !== ''
    const secrets = this.tls ? { TEST_TLS_CERT, TEST_TLS_KEY } : {}
    const preload = this.tls ? ['--import', TLS_PRELOAD] : []
    const [command, ...args] = [...endWithUs, ...prefix, process.execPath, ...preload, ENTRY]
    this.host = host ?? settings.HOST
    this.process = spawn(command as string, args, {
      env: { PATH: process.env.PATH, HOME: process.env.HOME, ...Object.fromEntries(set), ...secrets },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.pid = this.process.pid ?? 0
    running.add(this.process)
    this.#watch()
  }

  #watch(): void {
    const { stdout, stderr } = this.process
    if (stdout) createInterface({ input: stdout }).on('line', (line) => this.#onLine(line))
    stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text
      this.#events.notify()
    })
    // 'close', not 'exit': everything printed has been read by then.
    this.process.on('close', (code, signal) => {
      running.delete(this.process)
      this.exit = { code, signal }
      this.#events.notify()
    })
  }

  #onLine(line: string): void {
    this.stdout.push(line)
    this.#events.notify()
  }

  /** The log lines that are JSON. */
  get logs(): LogLine[] {
    return this.stdout.flatMap((line) => {
      try {
        return [JSON.parse(line) as LogLine]
      } catch {
        return []
      }
    })
  }

  get output(): string {
    return `${this.stdout.join('\n')}\n${this.stderr}`
  }

  get alive(): boolean {
    return this.exit === undefined
  }

  async ready(): Promise<void> {
    this.port = await this.#events.until(
      () => `the server listens; it printed:\n${this.output}`,
      () => {
        if (this.exit) throw new Error(`the server ended at start:\n${this.output}`)
        const line = this.stdout.find((text) => text.includes('"msg":"listening"'))
        return line === undefined ? undefined : (JSON.parse(line) as { port: number }).port
      },
      START_MS,
    )
  }

  /** Resolves with the first log line that matches, also an earlier one. */
  log(what: string, match: (line: LogLine) => boolean, deadlineMs?: number): Promise<LogLine> {
    return this.#events.until(what, () => this.logs.find(match), deadlineMs)
  }

  url(path = '/'): string {
    return `http${this.tls ? 's' : ''}://${this.host}:${this.port}${path}`
  }

  /** GET /health (or a path beside it) over a connection of its own. */
  health(path = '/health', deadlineMs = 2_000): Promise<Health> {
    return new Promise((resolve, reject) => {
      const options = { agent: false, timeout: deadlineMs, rejectUnauthorized: false }
      const request = (this.tls ? getOverTls : get)(this.url(path), options, (response) => {
        let body = ''
        response.setEncoding('utf8').on('data', (text: string) => {
          body += text
        })
        response.on('end', () => {
          const fields = JSON.parse(body) as Omit<Health, 'code'>
          resolve({ ...fields, code: response.statusCode ?? 0 } as Health)
        })
        response.on('error', reject)
      })
      request.on('timeout', () => request.destroy(new Error(`no answer of ${path} within ${deadlineMs} ms`)))
      request.on('error', reject)
    })
  }

  /** Open descriptors of the process. */
  fds(): number {
    return readdirSync(`/proc/${this.pid}/fd`).length
  }

  /** Resident memory in bytes. */
  rss(): number {
    const kib = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${this.pid}/status`, 'utf8'))?.[1]
    return Number(kib) * 1024
  }

  /** Seconds of CPU that the process has used. */
  cpuS(): number {
    const fields = readFileSync(`/proc/${this.pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
    return (Number(fields[11]) + Number(fields[12])) / 100
  }

  signal(name: NodeJS.Signals): void {
    this.process.kill(name)
  }

  exited(deadlineMs = STOP_MS): Promise<Exit> {
    return this.#events.until('the server exits', () => this.exit, deadlineMs)
  }

  /** Ends the process: politely at first, then with SIGKILL. Resolves with how it ended. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<Exit> {
    if (this.exit) return this.exit
    this.process.kill('SIGCONT')
    this.process.kill(signal)
    try {
      return await this.exited()
    } catch {
      this.process.kill('SIGKILL')
      return this.exited()
    }
  }
}
