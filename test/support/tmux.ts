// A terminal as a person has one: keys go in, and what the screen shows comes out.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { pollUntil } from './until.ts'

export class Terminal {
  readonly #socket: string

  constructor(t: Test, columns = 100, rows = 24) {
    const folder = mkdtempSync(join(tmpdir(), 'roomcast-tmux-'))
    this.#socket = join(folder, 'tmux')
    // A shell without anybody's settings, tap's among them, and without a history, which it would write while it ends.
    const size = ['-x', String(columns), '-y', String(rows)]
    this.#tmux(
      '-f',
      '/dev/null',
      'new-session',
      '-d',
      ...size,
      `env -i PATH='${process.env.PATH}' HOME='${folder}' TERM=screen HISTFILE=/dev/null PS1='$ ' bash --norc --noprofile`,
    )
    t.teardown(() => {
      this.#tmux('kill-server')
      rmSync(folder, { recursive: true })
    })
  }

  #tmux(...args: string[]): string {
    return execFileSync('tmux', ['-S', this.#socket, ...args], { encoding: 'utf8' })
  }

  /** Types a line and Enter. */
  type(line: string): void {
    if (line !== '') this.#tmux('send-keys', '-l', line)
    this.press('Enter')
  }

  /** Types without Enter. */
  keys(text: string): void {
    this.#tmux('send-keys', '-l', text)
  }

  /** A key by tmux's name: C-c, C-d, Up. */
  press(key: string): void {
    this.#tmux('send-keys', key)
  }

  /** What the screen shows; with `colours`, the codes of colours too. */
  screen(colours = false): string {
    return this.#tmux('capture-pane', '-p', '-J', ...(colours ? ['-e'] : []))
  }

  resize(columns: number, rows: number): void {
    this.#tmux('resize-window', '-x', String(columns), '-y', String(rows))
  }

  /** Resolves with the screen once it shows this. */
  async shows(what: RegExp): Promise<string> {
    let seen = ''
    try {
      return await pollUntil(
        `${what} on the screen`,
        () => {
          seen = this.screen()
          return what.test(seen) && seen
        },
        60_000,
      )
    } catch (error) {
      throw new Error(`${(error as Error).message}; it shows:\n${seen}`)
    }
  }
}
