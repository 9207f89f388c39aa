// The packed client as other tools and runtimes take it, fetched from npm for the test: Vite, Deno, Bun, and a page.
import { execFileSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { openBrowser } from '../../../test/support/browser.ts'
import { connect } from '../../../test/support/client.ts'
import { Program } from '../../../test/support/program.ts'
import { startServer } from '../../../test/support/server.ts'
import { tokenFor } from '../../../test/support/token.ts'
import { pollUntil } from '../../../test/support/until.ts'
import { pack } from '../support/packed.ts'

/** Says hello, and what it hears, until that is `bye`. */
const talk = (url: string, token: string, out: string) => `
const hub = connect('${url}', { token: '${token}' })
const room = hub.room('r')
room.on('message', ({ content }) => {
  ${out}(String(content))
  if (content === 'bye') hub.close()
})
await room.publish('hello')
`

t.test('the packed client under Vite, Deno, Bun and Node', async (t) => {
  const server = await startServer()
  t.teardown(() => server.stop())
  const directory = t.testdir({
    'package.json': '{"type":"module"}',
    'index.html': '<!doctype html><ul></ul><script type="module" src="/main.ts"></script>',
    'main.ts': `import { connect } from 'roomcast-client'
const show = (text: string) => {
  const line = document.createElement('li')
  line.textContent = text
  document.querySelector('ul')?.append(line)
}
${talk(server.url('/'), tokenFor('vite'), 'show')}`,
    'script.mjs': `import { connect } from 'roomcast-client'
${talk(server.url('/'), tokenFor('script'), 'console.log')}`,
  })
  const inFolder = { cwd: directory, encoding: 'utf8', stdio: 'pipe' } as const
  const packages = ['vite@8', 'deno@2', 'bun@1', pack('client', directory)]
  execFileSync('npm', ['install', '--no-audit', '--no-fund', '--ignore-scripts', ...packages], inFolder)
  const modules = join(directory, 'node_modules')
  const binary = (scope: string, name: string) => {
    const platform = readdirSync(join(modules, scope))[0] ?? ''
    const found = readdirSync(join(modules, scope, platform), { recursive: true })
    return join(modules, scope, platform, String(found.find((path) => String(path).endsWith(name)) ?? name))
  }
  const bob = await connect(server, 'bob')
  await bob.join('r')
  const scripts: [string, string, string[]][] = [
    ['Deno', binary('@deno', 'deno'), ['run', '--allow-net', '--no-lock', 'script.mjs']],
    ['Bun', binary('@oven', 'bun'), ['script.mjs']],
  ]
  // Node 20 has no WebSocket of its own.
  if (globalThis.WebSocket !== undefined) scripts.push(['Node', process.execPath, ['script.mjs']])
  for (const [name, command, args] of scripts) {
    const program = new Program(command, args, { cwd: directory })
    t.teardown(() => program.end())
    t.match(await bob.next('message'), { content: 'hello' }, name)
    await bob.publish('r', 'bye')
    await pollUntil(`${name} ends by itself`, () => program.code !== undefined)
    t.equal(program.code, 0, program.stderr)
    t.equal(program.stdout, 'hello\nbye\n')
  }

  execFileSync('npx', ['--no-install', 'vite', 'build', '--base', './'], inFolder)
  const built = readdirSync(join(directory, 'dist/assets'))
  t.ok(
    built.some((name) => name.endsWith('.js')),
    'Vite has built it',
  )
  const page = await (await openBrowser(t)).newPage()
  await page.goto(server.url('/health/live'))
  await page.evaluate(() => document.body.append(document.createElement('ul')))
  const main = built.find((name) => name.startsWith('index') && name.endsWith('.js')) ?? ''
  await page.addScriptTag({ path: join(directory, 'dist/assets', main), type: 'module' })
  await page.locator('li', { hasText: 'hello' }).first().waitFor()
  await bob.close()
})
