// deploy/haproxy.cfg as it is, but for addresses, run by Debian's HAProxy.
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { type AnyBalancer, substitute } from './balancer.ts'
import { freePort } from './free-port.ts'
import { Program } from './program.ts'
import type { Address } from './raw-socket.ts'
import { pollUntil } from './until.ts'

export const HAPROXY_CFG = 'deploy/haproxy.cfg'

export class Haproxy implements AnyBalancer {
  readonly host = '127.0.0.1'
  readonly port: number
  readonly #folder = mkdtempSync(join(tmpdir(), 'roomcast-haproxy-'))
  readonly #file = join(this.#folder, 'haproxy.cfg')
  #program: Program | undefined

  /** In front of two nodes, which need not be there yet. */
  static async start(nodes: readonly Address[]): Promise<Haproxy> {
    const haproxy = new Haproxy(await freePort(), nodes)
    await haproxy.#begin()
    return haproxy
  }

  constructor(port: number, nodes: readonly Address[]) {
    this.port = port
    const [one, two] = nodes.map((node) => `${node.host}:${node.port}`)
    const text = substitute(HAPROXY_CFG, [
      ['maxconn 60000', 'maxconn 4000'],
      ['bind :80\n', `bind ${this.host}:${port}\n`],
      ['server node1 node1:8080', `server node1 ${one}`],
      ['server node2 node2:8080', `server node2 ${two}`],
    ])
    writeFileSync(this.#file, text)
  }

  /** What `haproxy -c` says; rejects when it is not content, or warns. */
  async check(): Promise<string> {
    return (await promisify(execFile)('haproxy', ['-c', '-dW', '-f', this.#file])).stdout
  }

  async #begin(): Promise<void> {
    const program = new Program('haproxy', ['-W', '-db', '-f', this.#file], {})
    this.#program = program
    await pollUntil('HAProxy listens', async () => {
      if (program.code !== undefined) throw new Error(`HAProxy ended at start:\n${program.stderr}`)
      const answer = await fetch(this.url('/balancer')).catch(() => undefined)
      return answer?.status === 204
    })
  }

  get errors(): string {
    return this.#program?.stderr ?? ''
  }

  get accesses(): string {
    return this.#program?.stdout ?? ''
  }

  url(path: string): string {
    return `http://${this.host}:${this.port}${path}`
  }

  async stop(): Promise<void> {
    await this.#program?.end()
    rmSync(this.#folder, { recursive: true, force: true })
  }
}
