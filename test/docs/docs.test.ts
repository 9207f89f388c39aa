// The documents agree with the code and with each other.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import { SETTINGS_PAGE, settingsPage } from '../../scripts/settings.ts'
import { configFrom, settings, variableName } from '../../src/config.ts'
import { closeCodes, errorCodes, refusals } from '../../src/protocol/codes.ts'

const read = (path: string) => readFileSync(path, 'utf8')
const readme = read('README.md')
const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> }
const pages = ['.', 'docs', 'examples']
  .flatMap((folder) => readdirSync(folder).map((name) => join(folder, name)))
  .filter((path) => path.endsWith('.md'))

t.test('the README opens with two commands, and CI runs the second one', async (t) => {
  const commands = [...readme.matchAll(/^```sh\n(.*)\n```$/gm)].map(([, command]) => command)
  t.strictSame(commands.slice(0, 2), [
    'npm ci --ignore-scripts && npm start',
    'npm ci --ignore-scripts && npm test',
  ])
  t.match(read('.ci/run'), `test_command='${commands[1]}'\n`)
  t.match(scripts, { start: String, prestart: 'npm run build', test: String, pretest: /setup-tests.*build/ })
})

t.test('every npm script that a document names exists', async (t) => {
  const named = pages.flatMap((page) =>
    [...read(page).matchAll(/npm run ([\w:]+)/g)].map(([, name]) => name as string),
  )
  t.ok(named.length > 5)
  t.strictSame(
    named.filter((name) => scripts[name] === undefined),
    [],
  )
})

t.test('docs/SETTINGS.md is fresh (npm run settings)', async (t) => {
  t.equal(readFileSync(SETTINGS_PAGE, 'utf8'), settingsPage())
})

t.test('the documents name only settings that exist', async (t) => {
  const known = new Set(Object.keys(settings.shape).map(variableName))
  const names = pages
    .filter((page) => page !== 'docs/SETTINGS.md')
    .flatMap((page) =>
      [...read(page).matchAll(/`([A-Z]{2,}(?:_[A-Z]+)*)\b[^`]*`/g)].map(([, name]) => name as string),
    )
  const suspects = new Set(names.filter((name) => name.includes('_') && !known.has(name)))
  t.strictSame([...suspects], [])
})

t.test("the README's limits are the defaults", async (t) => {
  const defaults = configFrom({}) as Record<string, unknown>
  const rows = readme.split('\n').filter((line) => /^\| .* \| `[A-Z_]+`/.test(line))
  for (const key of Object.keys(settings.shape)) {
    const row = rows.find((line) => line.includes(`| \`${variableName(key)}\``))
    const value = defaults[key]
    if (row === undefined || typeof value !== 'number' || /_(MS|BYTES)$/.test(variableName(key))) continue
    t.ok(row.includes(value.toLocaleString('en-US')), `${variableName(key)} is ${value}`)
  }
})

t.test('links between documents lead somewhere', async (t) => {
  const slug = (heading: string) =>
    heading
      .toLowerCase()
      .replace(/[^\w\- ]/g, '')
      .replaceAll(' ', '-')
  const anchors = (page: string) =>
    [...read(page).matchAll(/^#+ (.*)$/gm)].map(([, text]) => `#${slug(text ?? '')}`)
  const broken = pages.flatMap((page) =>
    [...read(page).matchAll(/\]\(([^)\s]+)\)/g)]
      .map(([, link]) => link as string)
      .filter((link) => !/^https?:/.test(link))
      .filter((link) => {
        const [path = '', anchor] = link.split('#')
        const target = path === '' ? page : join(dirname(page), path)
        return !existsSync(target) || (anchor !== undefined && !anchors(target).includes(`#${anchor}`))
      })
      .map((link) => `${page}: ${link}`),
  )
  t.strictSame(broken, [])
})

t.test('the documents name only files that exist', async (t) => {
  const names = (page: string) =>
    [...read(page).matchAll(/`((?:src|plugins|routes|test|scripts|docs|examples)\/[\w./-]+\.\w+)`/g)].map(
      ([, name]) => name,
    )
  t.ok(names('docs/ARCHITECTURE.md').length > 30)
  const missing = pages.flatMap((page) =>
    names(page)
      .filter((name) => !existsSync(name as string))
      .map((name) => `${page}: ${name}`),
  )
  t.strictSame(missing, [])
})

t.test('docs/PROTOCOL.md has every code of the protocol', async (t) => {
  const page = read('docs/PROTOCOL.md')
  const codes = [
    ...errorCodes.map((code) => `| \`${code}\` |`),
    ...Object.entries(refusals).map(([code, status]) => `| ${status} | \`${code}\` |`),
    ...Object.values(closeCodes).map(({ code }) => `| ${code} |`),
  ]
  t.strictSame(
    codes.filter((code) => !page.includes(code)),
    [],
  )
})
