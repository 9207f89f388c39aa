// Any other program of a test: started in a process group of its own, and ended with it.
import { type ChildProcess, spawn } from 'node:child_process'
import type { Test } from 'tap'
import { type Maybe, Notifier } from './until.ts'

export interface ProgramOptions {
  env?: Record<string, string>
  cwd?: string
}

// What npm and tap tell their own children would make others behave differently.
const inherited = Object.entries(process.env).filter(
  ([name]) => !/^(npm_|TAP|_TAP|NODE_OPTIONS|INIT_CWD)/i.test(name),
)

/** Starts a program with the machine's environment and `env`; it is ended when the test is. */
export function startProgram(
  t: Test,
  command: string,
  args: string[],
  options: ProgramOptions = {},
): Program {
  const program = new Program(command, args, options)
  t.teardown(() => program.end())
  return program
}

export class Program {
  stdout = ''
  stderr = ''
  /** Undefined while it runs; null when a signal ended it. */
  code: number | null | undefined
  readonly #name: string
  readonly #process: ChildProcess
  readonly #events = new Notifier()
  readonly #onExit = () => this.signal('SIGKILL')

  constructor(command: string, args: string[], { env = {}, cwd }: ProgramOptions) {
    this.#name = command
    this.#process = spawn(command, args, {
      env: { ...Object.fromEntries(inherited), ...env },
      stdio: 'pipe',
      detached: true,
      ...(cwd !== undefined && { cwd }),
    })
    this.#process.stdin?.on('error', () => {})
    this.#process.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.stdout += text
      this.#events.notify()
    })
    this.#process.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text
      this.#events.notify()
    })
    this.#process.on('error', ({ message }) => {
      this.stderr += message
    })
    this.#process.on('close', (code) => {
      this.code = code
      process.removeListener('exit', this.#onExit)
      this.#events.notify()
    })
    process.once('exit', this.#onExit)
  }

  write(text: string): void {
    this.#process.stdin?.write(text)
  }

  /** Writes this, and nothing more. */
  endInput(text: string): void {
    this.#process.stdin?.end(text)
  }

  /** Resolves with what `probe` answers; rejects at once when the program ends before it does. */
  until<T>(what: string, probe: () => Maybe<T>, deadlineMs = 20_000): Promise<T> {
    const printed = () => `${what}; ${this.#name} printed:\n${this.stdout}\n${this.stderr}`
    return this.#events.until(
      printed,
      () => {
        const answer = probe()
        if (!answer && this.code !== undefined) throw new Error(`ended before ${printed()}`)
        return answer
      },
      deadlineMs,
    )
  }

  /** Resolves when stdout holds `text`. */
  prints(text: string, deadlineMs?: number): Promise<true> {
    return this.until(`"${text}" is printed`, () => this.stdout.includes(text) || undefined, deadlineMs)
  }

  /** Resolves with the exit code. */
  async exited(deadlineMs = 20_000): Promise<number | null> {
    const ended = () => (this.code === undefined ? undefined : { code: this.code })
    const { code } = await this.#events.until(`${this.#name} exits`, ended, deadlineMs)
    return code
  }

  /** To the program and what it started, by its own process group. */
  signal(name: NodeJS.Signals): void {
    if (this.code !== undefined || this.#process.pid === undefined) return
    try {
      process.kill(-this.#process.pid, name)
    } catch {
      // Gone already.
    }
  }

  async end(): Promise<void> {
    if (this.#process.pid === undefined || this.code !== undefined) return
    this.signal('SIGTERM')
    await this.exited(5_000).catch(() => this.signal('SIGKILL'))
  }
}
