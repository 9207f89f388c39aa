// The built command `roomcast`, run as a person would.
import { resolve } from 'node:path'
import type { Test } from 'tap'
import { type Program, startProgram } from './program.ts'
import type { Server } from './server.ts'
import { SECRET } from './token.ts'

export const BIN = resolve(`${process.env.ROOMCAST_DIST ?? 'dist'}/cli/roomcast.js`)

export interface CliOptions {
  env?: Record<string, string>
  cwd?: string
  /** Standard input, which ends behind it. */
  input?: string
}

export interface CliResult {
  code: number | null
  stdout: string
  stderr: string
}

/** Starts `roomcast` with these arguments, and JWT_SECRET as test servers have it. */
export function startCli(t: Test, args: string[], { env = {}, cwd, input }: CliOptions = {}): Program {
  const program = startProgram(t, process.execPath, [BIN, ...args], {
    env: { JWT_SECRET: SECRET, ...env },
    ...(cwd !== undefined && { cwd }),
  })
  if (input !== undefined) program.endInput(input)
  return program
}

/** Runs it to its end. */
export async function runCli(t: Test, args: string[], options: CliOptions = {}): Promise<CliResult> {
  const program = startCli(t, args, { input: '', ...options })
  const code = await program.exited()
  const { stdout, stderr } = program
  t.notMatch(stderr, /^ +at .*:\d+:\d+/m, `no stack trace: ${args.join(' ')}`)
  return { code, stdout, stderr }
}

/** Its answer to --json. */
export async function cliJson(t: Test, args: string[], options: CliOptions = {}) {
  const { stdout, stderr } = await runCli(t, [...args, '--json'], options)
  try {
    // biome-ignore lint/suspicious/noExplicitAny: what it is, the test says.
    return JSON.parse(stdout) as any
  } catch {
    throw new Error(`no JSON: ${stdout}${stderr}`)
  }
}

/** What commands of the API need: where this server is, and its key. */
export function apiEnv(server: Server, key: string): Record<string, string> {
  return { ROOMCAST_URL: `http://${server.host}:${server.port}`, ROOMCAST_API_KEY: key }
}
