// What can be explained is all that the code can say.
import { readdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import { explain } from '../../cli/explanations.ts'
import { problemCodes } from '../../src/protocol/api.ts'
import { closeCodes, errorCodes, refusals } from '../../src/protocol/codes.ts'
import { cliJson, runCli } from '../support/cli.ts'

const kinds = (code: string) => explain(code).map(({ kind }) => kind)

t.test('every code of the protocol, of refusals and of the API', async (t) => {
  for (const code of errorCodes) t.ok(kinds(code).includes('error'), code)
  for (const code of Object.keys(refusals)) t.ok(kinds(code).includes('refused upgrade'), code)
  for (const { code } of Object.values(closeCodes))
    t.ok(kinds(String(code)).includes('close code'), String(code))
  for (const code of problemCodes) t.ok(explain(code).length > 0, code)
  for (const status of new Set(Object.values(refusals)))
    t.ok(kinds(String(status)).includes('refused upgrade'), String(status))
})

/** The messages that the sources log, with text that says so on the same or the next lines. */
function loggedMessages(): string[] {
  return ['src', 'plugins', 'routes'].flatMap((folder) =>
    readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .flatMap((name) => {
        const text = readFileSync(`${folder}/${name}`, 'utf8')
        const calls = text.matchAll(
          /\blog\??\.(?:debug|info|warn|error)\(\s*(?:[^'"`;]*?,\s*)?(['"])(.+?)\1,?\s*\)/gs,
        )
        return [...calls].map(([, , message]) => message ?? '')
      }),
  )
}

t.test('every line of the log', async (t) => {
  const messages = loggedMessages()
  t.ok(messages.length > 40, `${messages.length} are found`)
  for (const message of new Set(messages)) t.ok(kinds(message).includes('log line'), message)
})

t.test('what Redis says, as it stands in /health', async (t) => {
  for (const reason of [
    'NOAUTH',
    'ECONNREFUSED',
    'NOPERM this user has no permissions',
    'hears nothing',
    'OOM',
  ])
    t.ok(kinds(reason).includes('reason of Redis'), reason)
})

t.test('the command prints it, and 1 is for what nobody knows', async (t) => {
  const { code, stdout } = await runCli(t, ['explain', '4401'])
  t.equal(code, 0)
  t.match(stdout, /4401 \(close code, docs\/PROTOCOL.md\)\n {2}meaning: the token has expired/)
  const line = '{"level":40,"link":"publisher","reason":"NOAUTH","msg":"redis is down"}'
  t.match(await cliJson(t, ['explain', line]), [{ kind: 'log line' }, { kind: 'reason of Redis' }])
  t.match(await runCli(t, ['explain', 'redis', 'is', 'down']), { code: 0 })
  t.match(await runCli(t, ['explain', 'nonsense']), {
    code: 1,
    stderr: /^roomcast explain: nothing is known/,
  })
  t.match(await runCli(t, ['explain']), { code: 2 })
  t.match(await runCli(t, ['explain', '--list']), { code: 0, stdout: /close code: 4403/ })
})
