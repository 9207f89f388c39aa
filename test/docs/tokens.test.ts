// What docs/TOKENS.md tells its readers to run, run.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { connect } from '../support/client.ts'
import { codeBlock } from '../support/code-block.ts'
import { startIssuer } from '../support/issuer.ts'
import { startProgram } from '../support/program.ts'
import { startServer } from '../support/server.ts'
import { SECRET } from '../support/token.ts'

const PAGE = 'docs/TOKENS.md'
const folder = mkdtempSync(join(tmpdir(), 'roomcast-tokens-'))
t.teardown(() => rmSync(folder, { recursive: true, force: true }))

t.test('the signing snippet makes a token that the server takes, for the user that it names', async (t) => {
  const server = await startServer()
  t.teardown(() => server.stop())
  const path = join(folder, 'sign.mjs')
  writeFileSync(path, codeBlock(PAGE, 'js', 'createHmac'))
  const signer = startProgram(t, process.execPath, [path], { env: { JWT_SECRET: SECRET } })
  t.equal(await signer.exited(), 0, signer.stderr)
  const client = await connect(server, '', {}, { token: signer.stdout.trim() })
  t.match(client.welcome, { user: 'ada', expiresAt: Number })
  await client.close()
})

t.test('a locked-down server allows what the claim `can` of the page names, and nothing else', async (t) => {
  t.match(codeBlock(PAGE, 'sh', 'DEFAULT_CAN'), "DEFAULT_CAN='{}'")
  const server = await startServer({ DEFAULT_CAN: '{}' })
  t.teardown(() => server.stop())
  const { sub, can } = JSON.parse(codeBlock(PAGE, 'json', '"can"')) as { sub: string; can: object }
  const ada = await connect(server, sub, { can })
  const tries = async (type: string, room?: string) => {
    const { type: answer, code } = await ada.request({
      type,
      ...(room && { room }),
      ...(type === 'message' && { content: 1 }),
    })
    return code ?? answer
  }
  for (const room of ['lobby', 'team-7.', 'team-7.news', 'user.ada'])
    t.equal(await tries('join', room), 'joined', room)
  for (const room of ['lobby2', 'team-8.news', 'user.bob', 'user.$user'])
    t.equal(await tries('join', room), 'forbidden', room)
  t.equal(await tries('message', 'team-7.news'), 'ack')
  t.equal(await tries('message', 'lobby'), 'forbidden')
  t.equal(await tries('message'), 'forbidden', 'no broadcast')
  const nobody = await connect(server, 'nobody')
  t.match(await nobody.request({ type: 'join', room: 'lobby' }), { code: 'forbidden' })
  await Promise.all([ada.close(), nobody.close()])
})

t.test('with the settings of the page, the tokens of an OIDC issuer log in', async (t) => {
  const block = codeBlock(PAGE, 'sh', 'JWT_ISSUERS')
  const [, url = '', audience = ''] = /^JWT_ISSUERS=(\S+) JWT_AUDIENCE=(\S+) npm start$/m.exec(block) ?? []
  const issuer = await startIssuer(t)
  issuer.addKey('k', 'RS256')
  t.equal(url, 'https://login.example.com')
  const server = await startServer({
    JWT_SECRET: '',
    NODE_ENV: 'production',
    JWT_ISSUERS: issuer.url,
    JWT_AUDIENCE: audience,
  })
  t.teardown(() => server.stop())
  const ada = await connect(server, '', {}, { token: issuer.token('ada', 'k', { aud: [audience] }) })
  t.match(ada.welcome, { user: 'ada' })
  await ada.close()
})
