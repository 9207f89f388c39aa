const HIDE = '\u001b[?25l'
const SHOW = '\u001b[?25h'

/** Lines that are drawn again in their place; on what is no terminal, one below the other. */
export class LiveView {
  #lines = 0
  readonly #isTerminal = process.stdout.isTTY === true

  draw(text: string): void {
    const lines = this.#isTerminal ? fitted(text) : text.split('\n')
    // Up to its beginning, and each line cleared as it is written, so that nothing flickers.
    const up = this.#lines > 0 && this.#isTerminal ? `\u001b[${this.#lines}A\r` : ''
    const clear = this.#isTerminal ? '\u001b[K' : ''
    const hide = this.#lines === 0 && this.#isTerminal ? HIDE : ''
    const rest = this.#isTerminal ? '\u001b[J' : ''
    process.stdout.write(`${hide}${up}${lines.map((line) => `${line}${clear}\n`).join('')}${rest}`)
    this.#lines = lines.length
  }

  /** Gives the cursor back. */
  end(): void {
    if (this.#isTerminal) process.stdout.write(SHOW)
  }
}

/** As much as the terminal shows: a line that wraps, or one too many, would move what is drawn next. */
function fitted(text: string): string[] {
  const { columns = 80, rows = 24 } = process.stdout
  const lines = text.split('\n')
  const shown =
    lines.length < rows ? lines : [...lines.slice(0, rows - 2), `… ${lines.length - rows + 2} more`]
  return shown.map((line) => line.slice(0, columns))
}
