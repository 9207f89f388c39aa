// An example as its README starts it, on a free port.
import type { Test } from 'tap'
import { freePort } from './free-port.ts'
import { type Program, startProgram } from './program.ts'

export interface Example {
  url: string
  port: number
  program: Program
}

/** Starts `npm run example NAME`; resolves when it says where it can be opened. */
export async function startExample(
  t: Test,
  name: string,
  env: Record<string, string> = {},
): Promise<Example> {
  const port = await freePort()
  const program = startProgram(t, process.execPath, ['scripts/example.mjs', name], {
    env: { PORT: String(port), ...env },
  })
  const url = `http://127.0.0.1:${port}`
  await program.prints(`Open ${url}`, 60_000)
  return { url, port, program }
}
