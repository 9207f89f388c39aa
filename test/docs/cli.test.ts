// docs/CLI.md names every command and flag, and its examples do what it says.
import { readFileSync } from 'node:fs'
import t from 'tap'
import { commands } from '../../cli/commands.ts'
import { settings } from '../../src/settings.ts'
import { API_SECRET } from '../support/api.ts'
import { apiEnv, BIN } from '../support/cli.ts'
import { freePort } from '../support/free-port.ts'
import { startProgram } from '../support/program.ts'
import { startServer } from '../support/server.ts'
import { SECRET } from '../support/token.ts'

// Some forty processes, one after the other.
t.setTimeout(400_000)
const page = readFileSync('docs/CLI.md', 'utf8')
const sections = new Map(
  page
    .split(/^## /m)
    .slice(1)
    .map((text) => [text.split('\n')[0] ?? '', text]),
)

t.test('every command has a section, and every flag of its own is in it', async (t) => {
  // conformance has a page of its own.
  const names = Object.keys(commands).filter((name) => name !== 'conformance')
  t.strictSame([...sections.keys()], names)
  const [intro = ''] = page.split(/^## /m)
  for (const name of names) {
    const { options } = (await commands[name]?.load()) ?? { options: [] }
    for (const option of options) {
      const { long, hidden } = option
      if (hidden || option.attributeName() in settings.shape) continue
      t.ok(sections.get(name)?.includes(`${long}`) || intro.includes(`${long}`), `${name} ${long}`)
    }
  }
})

t.test('the help of each has an example', async (t) => {
  for (const [name, { load }] of Object.entries(commands)) {
    const command = await load()
    let help = ''
    command.configureOutput({ writeOut: (text) => (help += text) }).outputHelp()
    if (name !== 'conformance') t.match(help, new RegExp(`Example:\\n {2}\\$ .*roomcast ${name}`))
  }
})

/** Those that go on until they are ended, and what they print first. */
const live: [command: RegExp, first: RegExp][] = [
  [/^roomcast( serve.*)?$/, /"msg":"listening"/],
  [/^roomcast stats$/, /clients on 1 of 1 nodes/],
  [/^roomcast tail general$/, /in general/],
]

t.test('its examples run', async (t) => {
  const server = await startServer({ API_KEYS: `shop:${API_SECRET}` })
  t.teardown(() => server.stop())
  const folder = t.testdir({})
  const examples = [...page.matchAll(/^```sh\n([\s\S]*?)\n```$/gm)].flatMap(
    ([, text]) => text?.split('\n') ?? [],
  )
  t.ok(examples.length > 35)
  const env = { ...apiEnv(server, API_SECRET), JWT_SECRET: SECRET, PORT: String(await freePort()) }
  const asFunction = `set -o pipefail; roomcast() { '${process.execPath}' '${BIN}' "$@"; }`
  for (const example of examples) {
    const [command = '', code = '0'] = example.split(/ # (?=\d$)/)
    const [, first] = live.find(([one]) => one.test(command)) ?? []
    const program = startProgram(t, 'bash', ['-c', `${asFunction}; ${command}`], { env, cwd: folder })
    if (first === undefined) {
      program.endInput('')
      t.equal(await program.exited(60_000), Number(code), `${example}\n${program.stderr}`)
    } else {
      await program.until(example, () => first.test(program.stdout + program.stderr) || undefined)
      program.signal('SIGTERM')
      await program.exited()
      t.pass(example)
    }
  }
})
