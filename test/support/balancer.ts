// deploy/nginx.conf as it is, but for addresses and paths, run by Debian's nginx.
import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Certificate } from './certificate.ts'
import { freePort } from './free-port.ts'
import { Program } from './program.ts'
import type { Address } from './raw-socket.ts'
import { pollUntil } from './until.ts'

export const NGINX_CONF = 'deploy/nginx.conf'
const NGINX_TLS_CONF = 'deploy/nginx-tls.conf'

/** What stands in front of nodes, whichever program it is. */
export interface AnyBalancer extends Address {
  readonly errors: string
  /** A line a request or WebSocket that has ended. */
  readonly accesses: string
  url(path: string): string
  stop(): Promise<void>
}

export class Balancer implements AnyBalancer {
  readonly host = '127.0.0.1'
  readonly port: number
  readonly file: string
  readonly #folder: string
  #program: Program | undefined

  /** In front of two nodes or more, which need not be there yet. */
  static async start(nodes: readonly Address[]): Promise<Balancer> {
    const balancer = new Balancer(await freePort(), nodes)
    await balancer.begin()
    return balancer
  }

  constructor(port: number, nodes: readonly Address[]) {
    this.port = port
    this.#folder = mkdtempSync(join(tmpdir(), 'roomcast-balancer-'))
    this.file = join(this.#folder, 'nginx.conf')
    writeFileSync(this.file, this.#configuration(nodes))
  }

  /** Takes deploy/nginx-tls.conf in, at the next begin(). */
  listenWithTls(port: number, { cert, key }: Certificate): void {
    mkdirSync(join(this.#folder, 'tls'))
    const text = substitute(NGINX_TLS_CONF, [
      ['listen 443 ', `listen ${this.host}:${port} `],
      ['/etc/nginx/certificate/fullchain.pem', cert],
      ['/etc/nginx/certificate/privkey.pem', key],
    ])
    writeFileSync(join(this.#folder, 'tls/listen.conf'), text)
  }

  /** Each of the substitutions is made once, so the rest of the file is what is tested. */
  #configuration(nodes: readonly Address[]): string {
    const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
      (name) => `${name}_temp_path ${this.#folder}/${name};`,
    )
    const [one, ...others] = nodes.map(({ host, port }) => `server ${host}:${port}`)
    return substitute(NGINX_CONF, [
      ['worker_processes auto;', `worker_processes 1;${process.getuid?.() === 0 ? ' user root;' : ''}`],
      ['worker_rlimit_nofile 131072;', ''],
      ['/var/run/nginx.pid', `${this.#folder}/pid`],
      ['error_log /dev/stderr', `error_log ${this.#folder}/error.log`],
      ['worker_connections 65536;', 'worker_connections 16384;'],
      ['http {\n', `http {\n${temporary.join(' ')}\n`],
      ['server node1:8080', one ?? ''],
      ['server node2:8080', others.join(' max_fails=0; ')],
      ['access_log /dev/stdout', `access_log ${this.#folder}/access.log`],
      ['/etc/nginx/tls/', `${this.#folder}/tls/`],
      ['listen 80 ', `listen ${this.host}:${this.port} `],
    ])
  }

  /** What `nginx -t` says; rejects when it is not content. */
  async check(): Promise<string> {
    return (await promisify(execFile)('nginx', ['-t', '-p', this.#folder, '-c', this.file])).stderr
  }

  async begin(): Promise<void> {
    const program = new Program('nginx', ['-p', this.#folder, '-c', this.file, '-g', 'daemon off;'], {})
    this.#program = program
    await pollUntil('nginx listens', async () => {
      if (program.code !== undefined)
        throw new Error(`nginx ended at start:\n${program.stderr}\n${this.errors}`)
      const answer = await fetch(this.url('/balancer')).catch(() => undefined)
      return answer?.status === 204
    })
  }

  get errors(): string {
    return this.#read('error.log')
  }

  get accesses(): string {
    return this.#read('access.log')
  }

  #read(name: string): string {
    try {
      return readFileSync(join(this.#folder, name), 'utf8')
    } catch {
      return ''
    }
  }

  url(path: string): string {
    return `http://${this.host}:${this.port}${path}`
  }

  /** New workers; the old ones keep their clients, as the configuration says. */
  reload(): void {
    this.#program?.signal('SIGHUP')
  }

  async stop(): Promise<void> {
    await this.#program?.end()
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

/** The file with other addresses and paths; each is there once, or it is not the file that we know. */
export function substitute(file: string, substitutes: [from: string, to: string][]): string {
  return substitutes.reduce(
    (text, [from, to]) => {
      if (text.split(from).length !== 2) throw new Error(`${file} should have "${from}" once`)
      return text.replace(from, to)
    },
    readFileSync(file, 'utf8'),
  )
}
