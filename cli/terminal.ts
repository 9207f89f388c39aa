const codes = { red: 31, green: 32, yellow: 33, blue: 34, magenta: 35, cyan: 36, grey: 90, bold: 1 } as const
export type Colour = keyof typeof codes

/** Text in a colour: on a terminal that has colours, and without NO_COLOR; Node knows both. */
export function coloured(colour: Colour, text: string): string {
  const has = process.stdout.isTTY === true && process.stdout.hasColors()
  return has ? `\u001b[${codes[colour]}m${text}\u001b[0m` : text
}

/** What a terminal obeys, or turns text round by. */
const obeyed = /[\p{Cc}\u202a-\u202e\u2066-\u2069\u200e\u200f]/gu

/** What others have written, without what would move the cursor or turn text round. */
export function plain(text: string): string {
  return text.replace(obeyed, '\ufffd')
}

/**
 * A value as a line of JSON. JSON itself escapes but the older control characters; a terminal obeys others, too.
 */
export function jsonLine(value: unknown): string {
  const escaped = (one: string) => `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`
  return `${JSON.stringify(value).replace(obeyed, escaped)}\n`
}

/** Rows with columns of even width; numbers stand to the right. Of what others have written only the plain text is shown. */
export function table(head: string[], rows: (string | number)[][]): string {
  const all = [head, ...rows].map((row) =>
    row.map((cell) => (typeof cell === 'number' ? cell : plain(String(cell)))),
  )
  const widths = head.map((_, at) => Math.max(...all.map((row) => String(row[at] ?? '').length)))
  const line = (row: (string | number)[]) =>
    row
      .map((cell, at) => {
        const width = widths[at] ?? 0
        return typeof cell === 'number' ? String(cell).padStart(width) : cell.padEnd(width)
      })
      .join('  ')
      .trimEnd()
  return `${all.map(line).join('\n')}\n`
}
