import type { Visit } from './visit.ts'

/** One thing that the protocol says, looked at from outside. `run` rejects with Failure where it does not hold. */
export interface Check {
  name: string
  run(visit: Visit): Promise<void>
}

/** The checks of one heading of a document. */
export interface Section {
  /** The heading's own words. */
  name: string
  /** The file below docs/ that has it. */
  document: string
  checks: Check[]
}

/** What was seen is not what the protocol says. */
export class Failure extends Error {}

/** It cannot be seen on this server, for the reason that the message gives. */
export class Skip extends Error {}

export function check(name: string, run: Check['run']): Check {
  return { name, run }
}

export function section(name: string, checks: Check[], document = 'PROTOCOL.md'): Section {
  return { name, document, checks }
}
