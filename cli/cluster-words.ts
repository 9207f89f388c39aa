import { plain } from './terminal.ts'

/** Which nodes were asked, as every answer about the cluster says. */
export interface Nodes {
  asked: number
  answered: number
  missing: string[]
}

/** How much of the cluster an answer is about. */
export interface Seen {
  scope: 'cluster' | 'node'
  nodes: Nodes
}

/** A line to stderr where an answer is not that of all nodes. */
export function warnOfMissing({ scope, nodes: { asked, answered, missing } }: Seen): void {
  if (scope === 'node') process.stderr.write('the bridge is away: this is what that node has alone\n')
  else if (missing.length > 0)
    process.stderr.write(
      `only ${answered} of ${asked} nodes answered; missing: ${plain(missing.join(', '))}\n`,
    )
}
