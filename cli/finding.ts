import { coloured, plain } from './terminal.ts'

/** What a check found: `fail` keeps clients away or loses messages, `warn` is likely to. */
export interface Finding {
  /** What was looked at, in a word or two; the same for the same check. */
  name: string
  level: 'ok' | 'warn' | 'fail'
  /** What is wrong; of what is right, what was seen. */
  cause: string
  /** How to mend it. */
  mend?: string
}

export const ok = (name: string, cause: string): Finding => ({ name, level: 'ok', cause })
export const warn = (name: string, cause: string, mend: string): Finding => ({
  name,
  level: 'warn',
  cause,
  mend,
})
export const fail = (name: string, cause: string, mend: string): Finding => ({
  name,
  level: 'fail',
  cause,
  mend,
})

const marks = {
  ok: () => coloured('green', 'ok  '),
  warn: () => coloured('yellow', 'warn'),
  fail: () => coloured('red', 'FAIL'),
}

/** Prints findings, and sets the exit code: 1 where something fails, or with `strict` where something is warned of. */
export function report(findings: Finding[], { json, strict }: { json?: true; strict?: true }): void {
  const counts = { ok: 0, warn: 0, fail: 0 }
  for (const { level } of findings) counts[level]++
  if (json !== undefined) process.stdout.write(`${JSON.stringify({ ...counts, findings }, null, 2)}\n`)
  else {
    const lines = findings.map(({ name, level, cause, mend }) => {
      const advice = mend === undefined ? '' : `\n       mend: ${plain(mend)}`
      return `${marks[level]()} ${coloured('bold', name)}: ${plain(cause)}${advice}`
    })
    process.stdout.write(
      `${lines.join('\n')}\n${counts.fail} to mend, ${counts.warn} to look at, ${counts.ok} fine\n`,
    )
  }
  if (counts.fail > 0 || (strict !== undefined && counts.warn > 0)) process.exitCode = 1
}
