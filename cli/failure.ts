/** The exit code for what was asked wrongly. */
export const USAGE = 2

/** What ends a command in one line: the user's mistake, or an answer that could not be had. */
export class Failure extends Error {
  readonly exitCode: number

  constructor(message: string, exitCode = 1) {
    super(message)
    this.exitCode = exitCode
  }
}

/** Wrong usage that only the command itself can see. */
export function misused(message: string): Failure {
  return new Failure(`${message} (--help says more)`, USAGE)
}
