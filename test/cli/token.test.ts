// Tokens: signed, and looked at when they are refused.
import { pino } from 'pino'
import t, { type Test } from 'tap'
import { inspectToken } from '../../cli/token-report.ts'
import { configFromEnv } from '../../src/config.ts'
import { cliJson, runCli } from '../support/cli.ts'
import { type KeyPair, keyPair, nowS, SECRET, signPayload, tokenFor } from '../support/token.ts'

/** Signs with `roomcast token`. */
async function sign(t: Test, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await runCli(t, ['token', ...args])
  t.equal(code, 0, stderr)
  return stdout.trim()
}

const log = pino({ level: 'silent' })
const claimsOf = (token: string) =>
  JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as Record<string, unknown>

t.test('a token says what was asked for', async (t) => {
  const can = '{"join":["news"]}'
  const token = await sign(
    t,
    '--user',
    'ada',
    '--can',
    can,
    '--ttl',
    '1h',
    '--rooms',
    'news',
    '--info',
    '{"n":1}',
  )
  t.match(claimsOf(token), { sub: 'ada', can: { join: ['news'] }, rooms: ['news'], info: { n: 1 } })
  t.ok(Math.abs((claimsOf(token).exp as number) - nowS() - 3600) < 30)
  t.match(await cliJson(t, ['token']), { token: /^ey/, user: 'dev', expiresAt: /Z$/ })
  t.match(await runCli(t, ['verify', token]), { code: 0, stdout: /holds, for the user ada/ })
})

t.test('what is no such token is wrong usage', async (t) => {
  for (const args of [
    ['--can', 'no JSON'],
    ['--can', '{"all":true}'],
    ['--ttl', 'soon'],
    ['--user', 'server'],
    ['--info', '{'],
    ['more'],
  ])
    t.match(await runCli(t, ['token', ...args]), { code: 2, stderr: /error: / }, args.join(' '))
  const settings = await runCli(t, ['token'], { env: { PORT: 'nonsense' } })
  t.match(settings, { code: 1, stderr: /^roomcast token: PORT: .*\n$/ })
})

const { privateKey, publicPem }: KeyPair = keyPair('ES256')

t.test('a refused token is told its reason, by the claim', async (t) => {
  const cases: [what: string, token: string, reason: RegExp, env?: Record<string, string>][] = [
    [
      'another secret',
      tokenFor('ada', {}, { key: 'another-secret-0123456789abcdef0' }),
      /^signature: .*Another secret/,
    ],
    ['not signed', signPayload({ sub: 'ada' }, { alg: 'none' }), /^signature: it is not signed at all/],
    ['another algorithm', tokenFor('ada', {}, { alg: 'HS512' }), /^signature: HS512 is not accepted.*HS256/],
    [
      'no key for it',
      tokenFor('ada', {}, { alg: 'ES256', key: privateKey }),
      /^signature: ES256 is not accepted/,
    ],
    ['expired', tokenFor('ada', { exp: nowS() - 7300 }), /^exp: expired 2 h ago/],
    ['milliseconds', tokenFor('ada', { exp: Date.now() + 1e6 }), /^exp: it counts milliseconds/],
    ['no end', tokenFor('ada', { exp: undefined }), /^exp: missing/],
    ['nobody', tokenFor('ada', { sub: undefined }), /^sub: missing/],
    ['clock', tokenFor('ada', { nbf: nowS() + 3600 }), /^nbf: it holds only in 1 h: a clock is wrong/],
    [
      'audience',
      tokenFor('ada', { aud: 'shop' }),
      /^aud: "shop"; JWT_AUDIENCE wants chat/,
      { JWT_AUDIENCE: 'chat' },
    ],
    ['issuer', tokenFor('ada'), /^iss: missing; JWT_ISSUER .*wants me/, { JWT_ISSUER: 'me' }],
    ['can', tokenFor('ada', { can: { joins: [] } }), /can has words that there are not: joins/],
    ['rooms', tokenFor('ada', { can: {}, rooms: ['a'] }), /rooms has one that it may not join/],
    ['cut off', tokenFor('ada').slice(0, 60), /three parts/],
    ['changed', tokenFor('ada').replace(/\.ey/, '.fy'), /its claims are no JSON|signature/],
    ['no name', tokenFor('server'), /the sub server is nobody's/],
  ]
  for (const [what, token, reason, env = {}] of cases) {
    const config = configFromEnv({ JWT_SECRET: SECRET, ...env })
    t.match(await inspectToken(token, config, log), { holds: false, reason }, what)
  }
})

t.test('it is the verdict of a server with these settings', async (t) => {
  const late = tokenFor('ada', { exp: nowS() - 60 })
  t.match(await runCli(t, ['verify', late]), { code: 1, stdout: /The token is refused: exp: / })
  t.match(await runCli(t, ['verify', late, '--jwt-clock-tolerance-ms', '3600000']), { code: 0 })
  const signed = tokenFor('ada', {}, { alg: 'ES256', key: privateKey })
  t.match(await runCli(t, ['verify', signed], { env: { JWT_PUBLIC_KEY: publicPem } }), { code: 0 })
  const piped = await runCli(t, ['verify', '-'], { input: `${tokenFor('ada')}\n` })
  t.match(piped, { code: 0, stdout: /signature HS256, by a key/ })
  t.notMatch(piped.stdout, SECRET)
  t.match(await runCli(t, ['verify']), { code: 2, stderr: /missing required argument/ })
})
