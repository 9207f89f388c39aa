import { createHmac } from 'node:crypto'
import { writeFileSync } from 'node:fs'

/** Of all servers of the benchmark. */
export const SECRET = 'roomcast-bench-secret-0123456789abcdef0123456789abcdef'

const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
const HEAD = encode({ alg: 'HS256', typ: 'JWT' })

/** One token a client, each for a user of its own, so that no cache of verified tokens helps anybody. */
export function writeTokens(path: string, count: number): void {
  const exp = Math.floor(Date.now() / 1000) + 6 * 3600
  const lines = Array.from({ length: count }, (_, n) => {
    const body = `${HEAD}.${encode({ sub: `user-${n}`, exp })}`
    return `${body}.${createHmac('sha256', SECRET).update(body).digest('base64url')}`
  })
  writeFileSync(path, `${lines.join('\n')}\n`)
}
