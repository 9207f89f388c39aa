/** Which nodes were asked, as every answer about the cluster says. */
export interface Nodes {
  asked: number
  answered: number
  missing: string[]
}

/** A line to stderr where an answer is not that of all nodes. */
export function warnOfMissing({ asked, answered, missing }: Nodes): void {
  if (missing.length > 0)
    process.stderr.write(`only ${answered} of ${asked} nodes answered; missing: ${missing.join(', ')}\n`)
}
