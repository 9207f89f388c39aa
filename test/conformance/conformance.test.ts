// The suite finds nothing wrong with roomcast, on each bridge; and the command says so.
import { readFileSync } from 'node:fs'
import t from 'tap'
import { conformanceCommand } from '../../cli/commands/conformance.ts'
import type { Report } from '../../conformance/report.ts'
import { sections } from '../../conformance/sections/index.ts'
import { API_SECRET } from '../support/api.ts'
import { startProgram } from '../support/program.ts'
import { startRedis } from '../support/redis.ts'
import { SECRET } from '../support/token.ts'
import { everything, isWhole, PRESENT, runAgainst, startWithEverything, those } from './checked.ts'

const ENTRY = 'dist/cli/roomcast.js'

t.test('roomcast with its messages in memory passes', async (t) => {
  const server = await startWithEverything(t)
  isWhole(t, await runAgainst(server.url()))
})

t.test('roomcast with Redis passes', async (t) => {
  const redis = await startRedis()
  t.teardown(() => redis.stop())
  const server = await startWithEverything(t, { REDIS_URL: redis.url })
  isWhole(t, await runAgainst(server.url()))
})

t.test('what cannot be seen from outside is skipped, and said so', async (t) => {
  const server = await startWithEverything(t, { API_KEYS: '', ROOM_RULES: '', HISTORY_SIZE: '0' })
  const report = await runAgainst(server.url(), { apiKey: undefined, broadcast: false })
  t.strictSame(those(report, 'failed'), [])
  const skipped = those(report, 'skipped').join('\n')
  for (const why of [
    '--api-key is not given',
    'no rule has presence',
    'keep no history',
    '--broadcast allows',
  ])
    t.match(skipped, why)
})

t.test('a server that is locked down passes, with the claims that it needs', async (t) => {
  const env = {
    DEFAULT_CAN: '{}',
    JWT_AUDIENCE: 'chat',
    JWT_ISSUER: 'shop',
    ALLOWED_ORIGINS: 'https://a.example',
  }
  const server = await startWithEverything(t, env)
  isWhole(t, await runAgainst(server.url(), { claims: { aud: 'chat', iss: 'shop' } }))
})

t.test('each section is a heading of its document, and no two checks have one name', async (t) => {
  for (const { name, document, checks } of sections) {
    const text = readFileSync(`docs/${document}`, 'utf8')
    t.match(text, new RegExp(`^##+ ${name}$`, 'm'), `${document} has ${name}`)
    t.equal(new Set(checks.map((check) => check.name)).size, checks.length, name)
  }
})

t.test('the command', async (t) => {
  const server = await startWithEverything(t)
  const run = async (...args: string[]) => {
    const program = startProgram(t, process.execPath, [ENTRY, 'conformance', ...args])
    const code = await program.exited()
    return { code, stdout: program.stdout, stderr: program.stderr }
  }
  const usual = [server.url(), '--secret', SECRET]

  t.test('reports by section for people', async (t) => {
    const { code, stdout } = await run(...usual, '--section', 'join', 'To the client')
    t.equal(code, 0, stdout)
    t.match(stdout, /^join \(\d+ of \d+\)\n {2}✔ is answered with one `joined`/)
    t.match(stdout, /\n\nTo the client \(/)
    t.match(stdout, /: \d+ passed, 0 failed, 0 skipped, in [\d.]+ s\n$/)
  })

  t.test('reports all as JSON for programs', async (t) => {
    const { code, stdout } = await run(...usual, '--json', '--rooms', PRESENT, '--api-key', API_SECRET)
    t.equal(code, 0, stdout)
    const report = JSON.parse(stdout) as Report
    t.equal(report.failed, 0)
    t.equal(report.results.length, report.passed + report.skipped)
    t.equal(new Set(report.results.map(({ section }) => section)).size, sections.length)
  })

  t.test('ends with 1 when a check fails', async (t) => {
    const { code, stdout } = await run(server.url(), '--secret', 'another', '--section', 'ping')
    t.equal(code, 1)
    t.match(stdout, /✘ is answered with `pong` and the id\n {6}a welcome did not come: .*401/)
    t.match(stdout, /\n\nFailed\n {2}ping: is answered with `pong` and the id\n/)
  })

  t.test('ends with 2 when it is used wrongly', async (t) => {
    const wrong: [string[], RegExp][] = [
      [['--secret', SECRET], /missing required argument 'url'/],
      [[server.url()], /required option '--secret <secret>'/],
      [['localhost:8080', '--secret', SECRET], /must begin with http/],
      [[...usual, '--section', 'nothing'], /there is no section 'nothing'/],
      [[...usual, '--timeout', 'soon'], /must be a number/],
      [[...usual, '--claims', '[]'], /must be a JSON object/],
      [[...usual, '--wrong'], /unknown option/],
    ]
    for (const [args, why] of wrong) {
      const { code, stderr } = await run(...args)
      t.equal(code, 2, args.join(' '))
      t.match(stderr, why)
    }
  })

  t.test('is explained by --help', async (t) => {
    const { code, stdout } = await run('--help')
    t.equal(code, 0)
    for (const { name } of sections) t.match(stdout, `  ${name}\n`)
  })
})

t.test('without a command it is the server', async (t) => {
  const env = { ...everything, JWT_SECRET: SECRET, PORT: '0' }
  const program = startProgram(t, process.execPath, [ENTRY], { env })
  await program.until('it listens', () => program.stdout.includes('"msg":"listening"'))
  program.signal('SIGTERM')
  t.equal(await program.exited(), 0)
  const broken = startProgram(t, process.execPath, [ENTRY], { env: { ...env, PORT: 'x' } })
  const plain = startProgram(t, process.execPath, ['dist/src/server.js'], { env: { ...env, PORT: 'x' } })
  t.equal(await broken.exited(), await plain.exited(), 'a start that fails ends as that of the server')
  t.equal(broken.stderr, plain.stderr)
})

t.test('docs/CONFORMANCE.md', async (t) => {
  const page = readFileSync('docs/CONFORMANCE.md', 'utf8')

  t.test('has each option', async (t) => {
    const options = conformanceCommand().options.map(({ long }) => long)
    const rows = [...page.matchAll(/^\| `(--[\w-]+)` \|/gm)].map(([, name]) => name)
    t.strictSame(rows.toSorted(), options.toSorted())
  })

  t.test('has commands that work', async (t) => {
    const server = await startWithEverything(t)
    const commands = [...page.matchAll(/^```sh\n(.*)\n```$/gm)].map(([, command = '']) => command)
    t.equal(commands.length, 2)
    for (const command of commands) {
      const line = command
        .replace('npx roomcast', `'${process.execPath}' ${ENTRY}`)
        .replace('http://127.0.0.1:8080', server.url())
      const program = startProgram(t, 'sh', ['-c', line], {
        env: { JWT_SECRET: SECRET, API_KEY: API_SECRET },
      })
      t.equal(await program.exited(), 0, program.stdout)
    }
  })
})
