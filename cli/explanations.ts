import { readFileSync } from 'node:fs'
import { packageFolder } from './package-folder.ts'

/** What the documents say of a code, a close code, a setting's reason or a log line. */
export interface Explanation {
  /** As it stands in the documents. */
  codes: string[]
  kind: string
  page: string
  /** The rest of its row: column → what stands there. */
  fields: Record<string, string>
}

/** Tables that explain something: by the first words of their heads. `code` is the column of what is explained. */
const tables = [
  { page: 'docs/PROTOCOL.md', head: ['status', '`error`'], code: 1, kind: 'refused upgrade' },
  { page: 'docs/PROTOCOL.md', head: ['code', 'meaning', 'try again?'], code: 0, kind: 'error' },
  { page: 'docs/PROTOCOL.md', head: ['code', 'meaning', 'connect again?'], code: 0, kind: 'close code' },
  { page: 'docs/BACKENDS.md', head: ['status', '`code`'], code: 1, kind: 'answer of the HTTP API' },
  { page: 'docs/OPERATIONS.md', head: ['`reason`', 'what is wrong'], code: 0, kind: 'reason of Redis' },
  { page: 'docs/OPERATIONS.md', head: ['level', '`msg`'], code: 1, kind: 'log line' },
]

/** All that the documents explain, read from their tables. */
export function explanations(): Explanation[] {
  const pages = new Map<string, string[]>()
  return tables.flatMap((table) => {
    const lines = pages.get(table.page) ?? linesOf(table.page)
    pages.set(table.page, lines)
    return lines.flatMap((line, at) => {
      const head = cellsOf(line)
      const isHead = table.head.every((word, column) => head[column] === word)
      return isHead ? rowsBelow(lines, at).map((row) => explanation(table, head, row)) : []
    })
  })
}

function linesOf(page: string): string[] {
  return readFileSync(`${packageFolder}/${page}`, 'utf8').split('\n')
}

function cellsOf(line: string): string[] {
  return line.startsWith('|')
    ? line
        .slice(1, -1)
        .split(/(?<!\\)\|/)
        .map((cell) => cell.trim())
    : []
}

function rowsBelow(lines: string[], head: number): string[][] {
  const rows: string[][] = []
  for (let at = head + 2; lines[at]?.startsWith('|'); at++) rows.push(cellsOf(lines[at] ?? ''))
  return rows
}

function explanation(
  { page, code, kind, head: [first] }: (typeof tables)[number],
  head: string[],
  row: string[],
): Explanation {
  const cell = row[code] ?? ''
  const named = [...cell.matchAll(/`([^`]+)`/g)].map(([, text]) => text ?? '')
  // Close codes, and words of the system that no document puts in quotes.
  const codes =
    named.length > 0 ? [...named, ...(cell.match(/\b[A-Z]{3,}_[A-Z]+\b/g) ?? [])] : cell.split(', ')
  // A refusal is looked for by its status, too.
  if (first === 'status') codes.push(...(row[0] ?? '').split(', '))
  const fields = head.flatMap((name, at) =>
    at === code || row[at] === '' ? [] : [[plainText(name), plainText(row[at] ?? '')]],
  )
  return {
    codes: [...new Set(codes)],
    kind,
    page,
    fields: Object.fromEntries(fields) as Record<string, string>,
  }
}

/** Without Markdown. */
function plainText(text: string): string {
  return text
    .replace(/\[([^\]]+)\]\([^)]*\)/g, '$1')
    .replaceAll('`', '')
    .replaceAll('\\|', '|')
}

/** What a code, or a line of the log, stands for; several where it stands in several tables. */
export function explain(given: string): Explanation[] {
  const all = explanations()
  return wordsOf(given).flatMap((word) => all.filter(({ codes }) => codes.some((code) => fits(code, word))))
}

/** What to look for: of a log line its message and its reason. */
function wordsOf(given: string): string[] {
  const text = given.trim()
  if (!text.startsWith('{')) return [text]
  try {
    const { msg, reason } = JSON.parse(text) as Record<string, unknown>
    return [msg, reason].filter((word) => typeof word === 'string')
  } catch {
    return [text]
  }
}

/** `…` in a code stands for anything; what is a sentence is also found within a longer line. */
function fits(code: string, given: string): boolean {
  const word = given.toLowerCase()
  const [begin = '', end] = code.toLowerCase().split('…')
  if (end !== undefined) return begin.trim() !== '' && word.startsWith(begin.trim())
  return word === begin || (begin.includes(' ') && word.includes(begin))
}
