// The documents agree with the code and with each other.
import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import { headingSlug } from '../../scripts/heading-slug.ts'
import { SETTINGS_PAGE, settingsPage } from '../../scripts/settings.ts'
import { configFrom, variableName } from '../../src/config.ts'
import { settings } from '../../src/settings.ts'

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

t.test('every cell of docs/COMPARISON.md has its source', async (t) => {
  const rows = read('docs/COMPARISON.md')
    .split('\n')
    .filter((line) => line.startsWith('| ') && !line.startsWith('| |'))
  t.ok(rows.length >= 6)
  const [columns = 0, ...others] = rows.map((row) => row.split(' | ').length)
  t.ok(columns >= 8 && others.every((number) => number === columns))
  const bare = rows.flatMap((row) =>
    row
      .split(' | ')
      .slice(1)
      .filter((cell) => !/\]\([^)]+\)/.test(cell)),
  )
  t.strictSame(bare, [])
})

t.test('llms.txt leads to every page of docs/, and to nothing else', async (t) => {
  const linked = [...read('llms.txt').matchAll(/\]\(([^)]+)\)/g)].map(([, path]) => path as string)
  t.strictSame(
    linked.filter((path) => !existsSync(path)),
    [],
  )
  const missing = pages.filter((page) => page.startsWith('docs/') && !linked.includes(page))
  t.strictSame(missing, [])
})

t.test('docs/SETTINGS.md is fresh (npm run settings)', async (t) => {
  t.equal(readFileSync(SETTINGS_PAGE, 'utf8'), settingsPage())
})

t.test('the documents name only settings that exist', async (t) => {
  const known = new Set(Object.keys(settings.shape).map(variableName))
  // NODE_… is Node's own, OTEL_… OpenTelemetry’s, NO_COLOR everybody’s, DROP_… a test’s.
  const names = pages
    .filter((page) => page !== 'docs/SETTINGS.md')
    .flatMap((page) =>
      [...read(page).matchAll(/`([A-Z]{2,}(?:_[A-Z]+)*)\b[^`]*`/g)].map(([, name]) => name as string),
    )
  const suspects = new Set(
    names.filter((name) => name.includes('_') && !/^(NODE|OTEL|NO|DROP)_/.test(name) && !known.has(name)),
  )
  t.strictSame([...suspects], [])
})

t.test('the limits of docs/RUN.md are the defaults', async (t) => {
  const defaults = configFrom({}) as Record<string, unknown>
  const rows = read('docs/RUN.md')
    .split('\n')
    .filter((line) => /^\| .* \| `[A-Z_]+`/.test(line))
  t.ok(rows.length > 6)
  for (const key of Object.keys(settings.shape)) {
    const row = rows.find((line) => line.includes(`| \`${variableName(key)}\``))
    const value = defaults[key]
    if (row === undefined || typeof value !== 'number' || /_(MS|BYTES)$/.test(variableName(key))) continue
    t.ok(row.includes(value.toLocaleString('en-US')), `${variableName(key)} is ${value}`)
  }
})

t.test('links between documents lead somewhere', async (t) => {
  const anchors = (page: string) =>
    [...read(page).matchAll(/^#+ (.*)$/gm)].map(([, text]) => `#${headingSlug(text ?? '')}`)
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

t.test('.ci/run closes with the counts, and fails unless every test ran and passed', async (t) => {
  const runs: [output: string, code: number, lastLine: string, passes: boolean][] = [
    ['ok 1\n# { total: 9, pass: 9 }\n# time=5ms', 0, '9 passed, 0 failed', true],
    [
      '# { total: 9, pass: 5, fail: 1, todo: 1, skip: 2 }\n# time=5ms',
      1,
      '5 passed, 1 failed, 3 skipped',
      false,
    ],
    ['# { total: 9, pass: 8, fail: 1 }', 0, '8 passed, 1 failed', false],
    ['# { total: 9, pass: 9 }', 1, '9 passed, 0 failed', false],
    ['# { total: 9, pass: 9, lint: fails }', 0, '9 passed, 0 failed', false],
    ['# { total: 2, skip: 2 }', 0, '0 passed, 0 failed, 2 skipped', false],
    ['    # { total: 9, pass: 9 }', 0, '0 passed, 0 failed', false],
    ['No test files found', 0, '0 passed, 0 failed', false],
  ]
  for (const [index, [output, code, lastLine, passes]] of runs.entries()) {
    const folder = t.testdir({
      [`run${index}`]: {
        '.ci': { run: read('.ci/run') },
        npm: `#!/bin/sh\n[ "$2" = lint ] && exit ${output.includes('lint') ? 3 : 0}\n[ "$1" = test ] || exit 0\ncat <<'EOF'\n${output}\nEOF\nexit ${code}\n`,
      },
    })
    const cwd = join(folder, `run${index}`)
    chmodSync(join(cwd, 'npm'), 0o755)
    const { status, stdout, stderr } = spawnSync('bash', ['.ci/run'], {
      cwd,
      encoding: 'utf8',
      env: { ...process.env, PATH: `${cwd}:${process.env.PATH}` },
    })
    t.equal(stdout.trimEnd().split('\n').at(-1), lastLine)
    if (output.includes('lint')) {
      t.match(stderr, 'failed: npm run lint')
      t.notMatch(stderr, 'the test command failed')
    }
    t.equal(status === 0, passes, `${lastLine}, tap ending with ${code}: exit code ${status}`)
  }
})
