// The test's side of one process of clients.
import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { Notifier } from '../../../../test/support/until.ts'
import type { Answer, Crowd, Order, Report } from './place.ts'

const PROGRAM = fileURLToPath(new URL('worker.ts', import.meta.url))

export class CrowdProcess {
  readonly crowd: Crowd
  readonly #process: ChildProcess
  readonly #events = new Notifier()
  #answer: Answer | undefined
  #end: string | undefined

  constructor(crowd: Crowd) {
    this.crowd = crowd
    // With this process's own arguments for Node, and so with tsx. It ends by itself when this process has gone.
    this.#process = fork(PROGRAM, [JSON.stringify(crowd)])
    this.#process.on('message', (answer: Answer) => {
      this.#answer = answer
      this.#events.notify()
    })
    this.#process.on('exit', (code, signal) => {
      this.#end = `${code ?? signal}`
      this.#events.notify()
    })
  }

  async #ask(order: Order, deadlineMs: number): Promise<Answer> {
    this.#answer = undefined
    this.#process.send(order)
    return this.#events.until(
      `${this.crowd.kind} clients: ${order.do}`,
      () => {
        if (this.#end !== undefined) throw new Error(`a process of clients ended with ${this.#end}`)
        return this.#answer
      },
      deadlineMs,
    )
  }

  async join(): Promise<void> {
    await this.#ask({ do: 'join' }, 180_000)
  }

  async cut(): Promise<void> {
    await this.#ask({ do: 'cut' }, 15_000)
  }

  /** Resolves with the number that was said last. */
  async talk(seconds: number, padBytes: number): Promise<number> {
    const answer = await this.#ask({ do: 'talk', seconds, padBytes }, seconds * 1000 + 30_000)
    return answer.did === 'talk' ? answer.last : -1
  }

  async finish(last: number): Promise<Report> {
    const answer = await this.#ask({ do: 'finish', last }, 150_000)
    if (answer.did !== 'finish') throw new Error(`no report: ${answer.did}`)
    return answer.report
  }

  stop(): void {
    this.#process.kill('SIGKILL')
  }
}
