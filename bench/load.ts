// Builds and runs the load generator, which is C so that it never is what is measured.
import { spawn, spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { pinned } from './launch.ts'

const SOURCES = new URL('load/', import.meta.url).pathname

/** What a server wants to hear. %ROOM% %SEQ% %T% %PAD% %TOKEN% are filled in by the generator. */
export interface Speech {
  path: string
  join: string
  /** A frame that holds this is the answer to `join`. */
  joined: string
  message: string
  /** Sent first, and the begin of its answer; `join` waits for that. */
  hello?: string
  ready?: string
  /** Text frames that a server without WebSocket pings sends, and wants back. */
  ping?: string
  pong?: string
}

export interface LoadOptions {
  members: number
  rooms: number
  /** Messages in flight a room; with `rate`, messages a second in all instead. */
  window?: number
  rate?: number
  /** Every member publishes, and nobody beside them; the window is each member's. */
  everybody?: boolean
  /** Bytes of padding in each content. */
  size: number
  /** Connects under way at once. */
  dialing: number
  /** The share of members who never read. */
  slow?: number
  warmS: number
  runS: number
  settleS: number
}

export interface Latency {
  p50_ms: number
  p99_ms: number
  p999_ms: number
  max_ms: number
}

/** What the generator prints. */
export interface LoadResult {
  clients: number
  connect_s: number
  connects_per_s: number
  cpu_us_per_connect: number
  rss_kib_per_client: number
  /** From before the connect until all have left; only where a scenario is about that (run.ts). */
  cpu_us_per_visit?: number
  rss_before_mib: number
  rss_joined_mib: number
  rss_peak_mib: number
  rss_end_mib: number
  /** These are absent when nothing was sent. */
  seconds?: number
  published_per_s?: number
  deliveries_per_s?: number
  cpu_us_per_delivery?: number
  server_cores?: number
  generator_cores?: number
  latency: Latency | null
  cross_latency: Latency | null
  sent: number
  owed: number
  received: number
  received_over_sent: number
  lost: number
  disordered: number
  echoed: number
  foreign: number
  closed: number
  slow_closed: number
  sound: boolean
}

export interface Target {
  ports: number[]
  pids: number[]
  tokensFile?: string
}

/** Compiles into `folder` and returns the program's path. */
export function buildLoad(folder: string): string {
  if (spawnSync('cc', ['--version']).status !== 0) {
    throw new Error(
      'No C compiler: the load generator is C. On Debian, as root: apt-get install -y gcc libc6-dev',
    )
  }
  const program = join(folder, 'load')
  const sources = readdirSync(SOURCES).filter((name) => name.endsWith('.c'))
  const { status, stderr } = spawnSync('cc', ['-O2', '-o', program, ...sources], {
    cwd: SOURCES,
    encoding: 'utf8',
  })
  if (status !== 0) throw new Error(`The load generator does not compile:\n${stderr}`)
  return program
}

/** Longest that a run may take beyond its own times: connects, answers on their way. */
const SLACK_S = 90

function argumentsOf(speech: Speech, options: LoadOptions, target: Target): string[] {
  const values: Record<string, string | number | undefined> = {
    ...speech,
    members: options.members,
    rooms: options.rooms,
    window: options.window,
    rate: options.rate,
    everybody: options.everybody ? 1 : undefined,
    size: options.size,
    dialing: options.dialing,
    slow: options.slow,
    warm: options.warmS,
    seconds: options.runS,
    settle: options.settleS,
    limit: Math.ceil(options.warmS + options.runS + options.settleS + SLACK_S),
    ports: target.ports.join(','),
    pids: target.pids.join(','),
    tokens: target.tokensFile,
  }
  return Object.entries(values).flatMap(([name, value]) =>
    value === undefined || value === '' ? [] : [`--${name}`, String(value)],
  )
}

/** One run; rejects when the generator could not finish it. An unsound result is returned, not thrown. */
export function runLoad(
  program: string,
  speech: Speech,
  options: LoadOptions,
  target: Target,
): Promise<LoadResult> {
  const [command, ...args] = [...pinned('load'), program, ...argumentsOf(speech, options, target)]
  const child = spawn(command as string, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  const onExit = () => child.kill('SIGKILL')
  process.once('exit', onExit)
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code, signal) => {
      process.removeListener('exit', onExit)
      if (code === 0 || code === 4) return resolve(JSON.parse(stdout) as LoadResult)
      reject(new Error(stderr.trim() || `the load generator ended with ${signal ?? code}`))
    })
  })
}
