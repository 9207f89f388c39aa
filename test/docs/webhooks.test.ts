// The receivers of docs/WEBHOOKS.md, run.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { HOOK_SECRET } from '../support/back-end.ts'
import { connect } from '../support/client.ts'
import { freePort } from '../support/free-port.ts'
import { serve } from '../support/hook-contract.ts'
import { startProgram } from '../support/program.ts'
import { pollUntil } from '../support/until.ts'

const folder = t.testdir({})
const page = readFileSync('docs/WEBHOOKS.md', 'utf8')

t.test('both receivers take what is signed, and nothing else', async (t) => {
  const receivers: [command: string, language: string][] = [
    [process.execPath, 'js'],
    ['/usr/bin/python3', 'python'],
  ]
  const started = receivers.map(async ([command, language]) => {
    const path = join(folder, `receiver.${language === 'js' ? 'mjs' : 'py'}`)
    writeFileSync(path, new RegExp(`^\`\`\`${language}\n([\\s\\S]*?)^\`\`\`$`, 'm').exec(page)?.[1] ?? '')
    const port = await freePort()
    const url = `http://127.0.0.1:${port}/`
    const program = startProgram(t, command, [path], {
      env: { WEBHOOK_SECRET: HOOK_SECRET, PORT: String(port) },
    })
    const status = () =>
      fetch(url, { method: 'POST', body: '{}' }).then(
        (response) => response.status,
        () => undefined,
      )
    t.equal(await pollUntil(`${language} answers`, status, 20_000), 401)
    return { url, program, language }
  })
  const all = await Promise.all(started)
  const webhookUrl = all.map(({ url }) => url).join()
  const server = await serve(t, { webhookUrl, webhookSecret: HOOK_SECRET })
  await (await connect(server, 'ada')).close()
  const told = 'client.connected ada\nclient.disconnected ada\n'
  for (const { program, language } of all)
    await pollUntil(`${language} is told: ${program.stderr}`, () => program.stdout === told)
})
