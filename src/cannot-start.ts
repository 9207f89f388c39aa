import { isShortage, readLimit } from './descriptors.ts'

/** The exit code of a process that cannot start. */
export const CANNOT_START = 1
/** Node reads a hundred files of the server's at once. */
const DESCRIPTORS = 100
const ofTheAddress = ['EADDRINUSE', 'EACCES', 'EADDRNOTAVAIL', 'ENOTFOUND', 'EAI_AGAIN']
const raise = 'too few descriptors, raise the limit on open files (ulimit -n, LimitNOFILE)'

/** Throws when so few descriptors are left that loading the rest would fail, at one file or another. */
export function checkDescriptors(): void {
  const { limit, next } = readLimit()
  if (limit - next >= DESCRIPTORS) return
  const message = `of ${limit} there are ${limit - next} left, and ${DESCRIPTORS} are needed to begin with`
  throw Object.assign(new Error(message), { code: 'EMFILE' })
}

/** What an operator can mend, in one line; undefined for a fault of ours, which needs its stack. */
export function reasonOf(error: unknown): string | undefined {
  const { name, code = '', errno, syscall = '', message } = error as NodeJS.ErrnoException
  const [line = ''] = message.split('\n')
  if (name === 'ConfigError') return line
  if (isShortage(error)) return `${raise}: ${line}`
  // The error's message has their values.
  if (ofTheAddress.includes(code) && /^(listen|bind|getaddrinfo)/.test(syscall)) return `HOST, PORT: ${line}`
  // The system's word, about a file most likely; or one is missing.
  return typeof errno === 'number' || code.endsWith('MODULE_NOT_FOUND') ? line : undefined
}

/** Says so and ends the process. */
export function cannotStart(reason: string): never {
  process.stderr.write(`roomcast cannot start: ${reason}\n`)
  process.exit(CANNOT_START)
}
