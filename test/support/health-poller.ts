// Polls /health from a process of its own: in a test with a thousand clients, the test's process is the slow one.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Server } from './server.ts'

export interface Poll {
  clients: number
  /** Without the time that the poller and the server spent waiting for a CPU. */
  ms: number
}

const script = `const { get } = require('http')
const { readFileSync } = require('fs')
const [port, pid, everyMs] = process.argv.slice(1).map(Number)
const waitedMs = (p) => Number(readFileSync('/proc/' + p + '/task/' + p + '/schedstat', 'utf8').split(' ')[1]) / 1e6
const waits = () => waitedMs(process.pid) + waitedMs(pid)
const polls = []
let isOn = true
const fail = (what) => { console.error(what); process.exit(1) }
const poll = () => {
  if (!isOn) return console.log(JSON.stringify(polls))
  const [startMs, before] = [performance.now(), waits()]
  const request = get({ host: '127.0.0.1', port, path: '/health', agent: false, timeout: 10000 }, (answer) => {
    let body = ''
    answer.setEncoding('utf8').on('data', (text) => { body += text }).on('end', () => {
      const ms = Math.max(0, performance.now() - startMs - (waits() - before))
      polls.push({ clients: JSON.parse(body).clients, ms })
      setTimeout(poll, everyMs)
    })
  })
  request.on('timeout', () => fail('no answer within 10 s')).on('error', (error) => fail(String(error)))
}
process.stdin.on('end', () => { isOn = false }).resume()
poll()`

export class HealthPoller {
  readonly #child: ChildProcess
  #printed = ''
  readonly #onExit = () => this.#child.kill('SIGKILL')

  constructor({ port, pid }: Server, everyMs: number) {
    const args = ['-e', script, String(port), String(pid), String(everyMs)]
    this.#child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] })
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.#printed += text
    })
    process.on('exit', this.#onExit)
  }

  /** Ends it; resolves with what it saw. */
  async stop(): Promise<Poll[]> {
    this.#child.stdin?.end()
    const ended = this.#child.exitCode !== null ? [this.#child.exitCode] : await once(this.#child, 'close')
    process.removeListener('exit', this.#onExit)
    if (ended[0] !== 0) throw new Error('the health poller failed')
    return JSON.parse(this.#printed)
  }

  kill(): void {
    this.#child.kill('SIGKILL')
  }
}
