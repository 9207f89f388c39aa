import { createInterface } from 'node:readline'

/** All of standard input. */
export async function readInput(): Promise<string> {
  let text = ''
  for await (const part of process.stdin.setEncoding('utf8')) text += part
  return text
}

/** The lines of standard input, as they come. */
export function inputLines(): AsyncIterable<string> {
  return createInterface({ input: process.stdin })
}
