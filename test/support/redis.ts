import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import type { Certificate } from './certificate.ts'
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
  readonly #env: Record<string, string>
  /** How the test's own commands log in, where the server asks for that. */
  login: { username?: string; password?: string } = {}
  #process: ChildProcess | undefined

  constructor(port: number, args: string[] = [], env: Record<string, string> = {}) {
    this.port = port
    this.url = `redis://127.0.0.1:${port}`
    this.#args = args
    this.#env = env
  }

  /** Resolves when the server answers. */
  async start(extraArgs: string[] = []): Promise<void> {
    const fixed = ['--port', String(this.port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no']
    this.#process = spawn('redis-server', [...fixed, '--dir', this.#directory, ...this.#args, ...extraArgs], {
      stdio: 'ignore',
      env: { ...process.env, ...this.#env },
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

/** Arguments for TLS on a port of its own; the other stays for the test's own commands. */
export function tlsArgs(port: number, { cert, key }: Certificate): string[] {
  const files = ['--tls-cert-file', cert, '--tls-key-file', key, '--tls-ca-cert-file', cert]
  return ['--tls-port', String(port), ...files, '--tls-auth-clients', 'no']
}

/** Three masters that share the slots; with a certificate they speak TLS to nodes and to each other. */
export async function startRedisCluster(certificate?: Certificate): Promise<{
  servers: TestRedis[]
  url: string
  stop(): Promise<void>
}> {
  const servers: TestRedis[] = []
  /** Where each is known to nodes and to the others. */
  const ports: number[] = []
  for (let n = 0; n < 3; n++) {
    const tlsPort = certificate && (await freePort())
    const tls = certificate && tlsPort ? [...tlsArgs(tlsPort, certificate), '--tls-cluster', 'yes'] : []
    const server = await startRedis(['--cluster-enabled', 'yes', '--cluster-node-timeout', '2000', ...tls])
    servers.push(server)
    ports.push(tlsPort ?? server.port)
  }
  const [first] = servers as [TestRedis, ...TestRedis[]]
  const perNode = Math.ceil(16_384 / servers.length)
  for (const [index, server] of servers.entries()) {
    const end = Math.min(16_383, (index + 1) * perNode - 1)
    await server.command('CLUSTER', 'ADDSLOTSRANGE', index * perNode, end)
    await server.command('CLUSTER', 'SET-CONFIG-EPOCH', index + 1)
    if (server !== first) await first.command('CLUSTER', 'MEET', '127.0.0.1', ports[index] as number)
  }
  for (const server of servers) {
    await pollUntil('the cluster', async () => {
      const info = String(await server.command('CLUSTER', 'INFO'))
      return /cluster_state:ok/.test(info) && /cluster_known_nodes:3/.test(info)
    })
  }
  return {
    servers,
    url: `redis${certificate === undefined ? '' : 's'}+cluster://${ports.map((port) => `127.0.0.1:${port}`).join(',')}`,
    stop: async () => {
      for (const server of servers) await server.stop()
    },
  }
}
