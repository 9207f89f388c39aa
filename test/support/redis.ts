import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { freePort } from './free-port.ts'
import { pollUntil } from './until.ts'

const running = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

/** A real redis-server of the test's own: it can be killed, frozen and started again on its port. */
export class TestRedis {
  readonly port: number
  readonly url: string
  readonly #directory = mkdtempSync(join(tmpdir(), 'roomcast-redis-'))
  readonly #args: string[]
  /** How the test's own commands log in, where the server asks for that. */
  login: { username?: string; password?: string } = {}
  #process: ChildProcess | undefined

  constructor(port: number, args: string[] = []) {
    this.port = port
    this.url = `redis://127.0.0.1:${port}`
    this.#args = args
  }

  /** Resolves when the server answers. */
  async start(extraArgs: string[] = []): Promise<void> {
    const fixed = ['--port', String(this.port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no']
    this.#process = spawn('redis-server', [...fixed, '--dir', this.#directory, ...this.#args, ...extraArgs], {
      stdio: 'ignore',
    })
    running.add(this.#process)
    await pollUntil(`redis-server on ${this.port}`, () => this.#answers())
  }

  async #answers(): Promise<boolean> {
    const options = { lazyConnect: true, retryStrategy: null, enableReadyCheck: false, ...this.login }
    const client = new Redis(this.port, options)
    client.on('error', () => {})
    try {
      await client.connect()
      const reply = await client.ping().catch((error: Error) => error.message)
      return reply === 'PONG' || /NOAUTH/.test(reply)
    } catch {
      return false
    } finally {
      client.disconnect()
    }
  }

  /** A client for the test's own commands, gone by itself with `stop`. */
  async command(...args: (string | number | Buffer)[]): Promise<unknown> {
    const client = new Redis(this.port, { lazyConnect: true, retryStrategy: null, ...this.login })
    client.on('error', () => {})
    try {
      await client.connect()
      return await client.call(String(args[0]), ...args.slice(1))
    } finally {
      client.disconnect()
    }
  }

  freeze(): void {
    this.#process?.kill('SIGSTOP')
  }

  thaw(): void {
    this.#process?.kill('SIGCONT')
  }

  /** kill -9; resolves when it is gone. */
  async kill(): Promise<void> {
    const child = this.#process
    this.#process = undefined
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const gone = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGKILL')
    await gone
    running.delete(child)
  }

  async stop(): Promise<void> {
    await this.kill()
    rmSync(this.#directory, { recursive: true, force: true })
  }
}

export async function startRedis(args: string[] = []): Promise<TestRedis> {
  const redis = new TestRedis(await freePort(), args)
  await redis.start()
  return redis
}

/** Three masters that share the slots. */
export async function startRedisCluster(): Promise<{
  servers: TestRedis[]
  url: string
  stop(): Promise<void>
}> {
  const servers: TestRedis[] = []
  for (let n = 0; n < 3; n++) {
    servers.push(await startRedis(['--cluster-enabled', 'yes', '--cluster-node-timeout', '2000']))
  }
  const [first] = servers as [TestRedis, ...TestRedis[]]
  const perNode = Math.ceil(16_384 / servers.length)
  for (const [index, server] of servers.entries()) {
    const end = Math.min(16_383, (index + 1) * perNode - 1)
    await server.command('CLUSTER', 'ADDSLOTSRANGE', index * perNode, end)
    await server.command('CLUSTER', 'SET-CONFIG-EPOCH', index + 1)
    if (server !== first) await first.command('CLUSTER', 'MEET', '127.0.0.1', server.port)
  }
  for (const server of servers) {
    await pollUntil('the cluster', async () => {
      const info = String(await server.command('CLUSTER', 'INFO'))
      return /cluster_state:ok/.test(info) && /cluster_known_nodes:3/.test(info)
    })
  }
  return {
    servers,
    url: `redis+cluster://${servers.map(({ port }) => `127.0.0.1:${port}`).join(',')}`,
    stop: async () => {
      for (const server of servers) await server.stop()
    },
  }
}
