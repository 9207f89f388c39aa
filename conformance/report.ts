/** What became of one check. */
export interface Result {
  section: string
  name: string
  outcome: 'passed' | 'failed' | 'skipped'
  /** Why it failed or was skipped. */
  reason?: string
  ms: number
}

/** What became of all of them. */
export interface Report {
  url: string
  passed: number
  failed: number
  skipped: number
  ms: number
  results: Result[]
}

const marks = { passed: '✔', failed: '✘', skipped: '-' }
const colours = { passed: 32, failed: 31, skipped: 33 }

/** For people. What failed is said once more at the end, where it is seen. */
export function asText(report: Report, isColoured = false): string {
  const paint = (outcome: Result['outcome'], text: string) =>
    isColoured ? `\u001b[${colours[outcome]}m${text}\u001b[0m` : text
  const line = ({ outcome, name, reason }: Result) =>
    [
      `  ${paint(outcome, marks[outcome])} ${name}`,
      ...(reason === undefined ? [] : [`      ${reason}`]),
    ].join('\n')
  const sections = [...new Set(report.results.map(({ section }) => section))].map((name) => {
    const own = report.results.filter(({ section }) => section === name)
    const passed = own.filter(({ outcome }) => outcome === 'passed').length
    const counted = own.filter(({ outcome }) => outcome !== 'skipped').length
    return [`${name} (${passed} of ${counted})`, ...own.map(line)].join('\n')
  })
  const { url, passed, failed, skipped, ms } = report
  const sum = `${url}: ${passed} passed, ${failed} failed, ${skipped} skipped, in ${(ms / 1000).toFixed(1)} s`
  const failures = report.results.filter(({ outcome }) => outcome === 'failed')
  const again = failures.length > 0 ? [['Failed', ...failures.map(failure)].join('\n')] : []
  return `${[...sections, ...again, paint(failed > 0 ? 'failed' : 'passed', sum)].join('\n\n')}\n`
}

function failure({ section, name, reason }: Result): string {
  return `  ${section}: ${name}\n      ${reason}`
}

/** For programs. */
export function asJson(report: Report): string {
  return `${JSON.stringify(report, null, 2)}\n`
}
