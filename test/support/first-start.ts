// A server as it starts without any settings, and what it prints then.
import type { Test } from 'tap'
import { type Server, startServer } from './server.ts'
import { pollUntil } from './until.ts'

const PRINTED_URL = /^ *(ws:\/\/127\.0\.0\.1:\d+\/ws\?token=\S+)$/

export interface FirstStart {
  server: Server
  /** With a token in it. */
  url: string
  /** The line for a terminal. */
  wscat: string
  /** What is to be pasted behind it. */
  envelopes: string[]
}

export async function firstStart(t: Test): Promise<FirstStart> {
  const server = await startServer({ JWT_SECRET: '' })
  t.teardown(() => server.stop())
  const find = (pattern: RegExp) => server.stdout.map((line) => pattern.exec(line)?.[1]).find(Boolean)
  const url = await pollUntil('the URL is printed', () => find(PRINTED_URL))
  const wscat = await pollUntil('the wscat line is printed', () => find(/^ *(npx -y wscat .*)$/))
  const envelopes = server.stdout.map((line) => line.trim()).filter((line) => line.startsWith('{"type"'))
  return { server, url, wscat, envelopes }
}
