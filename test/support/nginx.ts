// Debian's nginx in front of a server, as a child process with a prefix of its own under the temporary folder.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from './free-port.ts'
import type { Address } from './raw-socket.ts'
import { pollUntil } from './until.ts'

export interface NginxOptions {
  upstream: Address
  /** More directives of the location, e.g. `proxy_read_timeout 800ms;`. */
  location?: string
  /** More directives of the main context. */
  main?: string
}

/** Whether this machine has it. */
export function hasNginx(): boolean {
  try {
    execFileSync('nginx', ['-v'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

export class Nginx {
  readonly host = '127.0.0.1'
  port = 0
  readonly #folder = mkdtempSync(join(tmpdir(), 'roomcast-nginx-'))
  readonly #options: NginxOptions
  #process: ChildProcess | undefined
  readonly #onExit = () => this.#killAll()

  static async start(options: NginxOptions): Promise<Nginx> {
    const nginx = new Nginx(options)
    nginx.port = await freePort()
    nginx.configure()
    await nginx.start()
    return nginx
  }

  constructor(options: NginxOptions) {
    this.#options = options
  }

  /** Writes the configuration; `location` replaces the directives given before. */
  configure(location = this.#options.location ?? ''): void {
    const { upstream, main = '' } = this.#options
    const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    writeFileSync(
      join(this.#folder, 'nginx.conf'),
      `daemon off;
worker_processes 1;
pid ${this.#folder}/pid;
error_log ${this.#folder}/error.log;
${process.getuid?.() === 0 ? 'user root;' : ''}
${main}
events { worker_connections 4096; }
http {
  access_log off;
  large_client_header_buffers 4 32k;
  ${temporary.map((name) => `${name}_temp_path ${this.#folder}/${name};`).join(' ')}
  server {
    listen ${this.host}:${this.port} backlog=4096;
    location / {
      proxy_pass http://${upstream.host}:${upstream.port};
      proxy_http_version 1.1;
      proxy_set_header Host $host;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection "upgrade";
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      ${location}
    }
  }
}
`,
    )
  }

  /** Starts it (again), with the port of before. */
  async start(): Promise<void> {
    this.#process = spawn('nginx', ['-p', this.#folder, '-c', 'nginx.conf'], { stdio: 'ignore' })
    process.on('exit', this.#onExit)
    await pollUntil('nginx listens', () => {
      if (this.#process?.exitCode != null) throw new Error(`nginx ended at start:\n${this.errors}`)
      return accepts(this)
    })
  }

  get errors(): string {
    try {
      return readFileSync(join(this.#folder, 'error.log'), 'utf8')
    } catch {
      return ''
    }
  }

  /** New workers with the present configuration; the old ones keep their connections or end them, as it says. */
  reload(): void {
    this.#process?.kill('SIGHUP')
  }

  /** `kill -9` of the master and its workers: the kernel closes what they held. */
  async kill(): Promise<void> {
    const ended = this.#ended()
    this.#killAll()
    await ended
  }

  async stop(): Promise<void> {
    const ended = this.#ended()
    this.#process?.kill('SIGTERM')
    await ended
    process.removeListener('exit', this.#onExit)
    rmSync(this.#folder, { recursive: true, force: true })
  }

  async #ended(): Promise<void> {
    const child = this.#process
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    await new Promise((resolve) => child.once('exit', resolve))
  }

  #killAll(): void {
    const pid = this.#process?.pid
    if (pid === undefined || this.#process?.exitCode !== null || this.#process.signalCode !== null) return
    const workers = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean)
    for (const child of [pid, ...workers]) {
      try {
        process.kill(Number(child), 'SIGKILL')
      } catch {
        // Gone already.
      }
    }
  }
}

function accepts(address: Address): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(address)
    socket.on('connect', () => resolve(true)).on('error', () => resolve(false))
    socket.on('connect', () => socket.destroy())
  })
}
