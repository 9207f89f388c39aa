// In a fresh checkout, `npm run example NAME` builds what it needs by itself: the README's first message.
import { cpSync, existsSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import t from 'tap'
import { freePort } from '../support/free-port.ts'
import { startProgram } from '../support/program.ts'

t.test('in a fresh checkout the chat builds what it needs, and starts', async (t) => {
  const checkout = mkdtempSync(join(tmpdir(), 'roomcast-checkout-'))
  t.teardown(() => rmSync(checkout, { recursive: true, force: true }))
  for (const path of [
    ...['src', 'plugins', 'routes', 'conformance', 'cli', 'client', 'console', 'examples', 'scripts'],
    ...['package.json', 'tsconfig.json', 'tsconfig.build.json'],
  ])
    cpSync(path, join(checkout, path), {
      recursive: true,
      filter: (name) => !/(^|\/)node_modules$|^client\/(dist|test)$/.test(name),
    })
  symlinkSync(resolve('node_modules'), join(checkout, 'node_modules'))
  const port = await freePort()
  const command = ['run', 'example', 'chat']
  const chat = startProgram(t, 'npm', command, { cwd: checkout, env: { PORT: String(port) } })
  await chat.prints('Building roomcast')
  await chat.prints(`Open http://127.0.0.1:${port}`, 300_000)
  const token = await fetch(`http://127.0.0.1:${port}/token?user=ada`)
  t.equal(token.status, 200)
  for (const file of ['dist/src/server.js', 'dist/client/client.js', 'dist/console/index.html'])
    t.ok(existsSync(join(checkout, file)), file)
})
