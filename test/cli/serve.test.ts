// The server by its command: what src/server.ts does, and settings as flags.
import t from 'tap'
import { flagName } from '../../cli/setting-flags.ts'
import { settings } from '../../src/settings.ts'
import { BIN, runCli, startCli } from '../support/cli.ts'
import { connect } from '../support/client.ts'
import { type Program, startProgram } from '../support/program.ts'
import { startRedis } from '../support/redis.ts'
import { tokenFor } from '../support/token.ts'

/** The port of its `listening` line. */
async function portOf(program: Program): Promise<number> {
  const [, port] = await program.until(
    'it listens',
    () => /"port":(\d+),"node":.*"msg":"listening"/.exec(program.stdout) ?? undefined,
  )
  return Number(port)
}

t.test('without arguments, or with options alone, it is the server', async (t) => {
  for (const args of [[], ['serve'], ['--port', '0'], ['serve', '--port=0', '--metrics=false']]) {
    const program = startCli(t, args, { env: { PORT: '0' } })
    const client = await connect({ host: '127.0.0.1', port: await portOf(program) }, 'ada')
    t.match(client.welcome, { user: 'ada' })
    await client.close()
    program.signal('SIGTERM')
    t.equal(await program.exited(), 0, args.join(' '))
  }
})

t.test('after each build the command can be run itself: in a clone `npx roomcast` does that', async (t) => {
  const program = startProgram(t, BIN, ['--version'])
  t.equal(await program.exited(), 0, program.stderr)
  t.match(program.stdout, /^\d+\.\d+\.\d+\n$/)
})

t.test('a flag goes before its variable', async (t) => {
  const program = startCli(t, ['--port', '0', '--max-message-bytes', '1234', '--no-such'], {})
  t.equal(await program.exited(), 2)
  t.match(program.stderr, 'unknown option')
  const served = startCli(t, ['--port', '0', '--max-message-bytes', '1234'], {
    env: { MAX_MESSAGE_BYTES: '99' },
  })
  const client = await connect({ host: '127.0.0.1', port: await portOf(served) }, 'ada')
  t.match(client.welcome, { maxMessageBytes: 1234 })
  await client.close()
})

t.test('workers by a flag, each with the flags of the first', async (t) => {
  const redis = await startRedis()
  t.teardown(() => redis.stop())
  const args = ['--workers', '2', '--port', '0', '--redis-url', redis.url, '--max-message-bytes', '1234']
  const program = startCli(t, args)
  const port = await portOf(program)
  await program.until('both listen', () => program.stdout.split('"msg":"listening"').length > 2)
  const token = tokenFor('ada')
  for (const _ of [1, 2]) {
    const client = await connect({ host: '127.0.0.1', port }, '', {}, { token })
    t.match(client.welcome, { maxMessageBytes: 1234 })
    await client.close()
  }
  program.signal('SIGTERM')
  t.equal(await program.exited(), 0)
})

t.test('what keeps it from starting is one line', async (t) => {
  const wrong = await runCli(t, ['--port', '99999', '--workers', '2'])
  t.equal(wrong.code, 1)
  t.match(wrong.stderr, /^roomcast cannot start: PORT: .*; WORKERS: .*\n$/)
})

t.test('every setting is a flag, with its own words', async (t) => {
  const { code, stdout } = await runCli(t, ['serve', '--help'])
  t.equal(code, 0)
  for (const key of Object.keys(settings.shape)) t.match(stdout, new RegExp(`${flagName(key)}[ \n]`))
})

t.test('what there is not is wrong usage', async (t) => {
  const { code, stderr } = await runCli(t, ['servee'])
  t.equal(code, 2)
  t.match(stderr, /unknown command 'servee'\s.*Did you mean serve/)
  t.match(await runCli(t, ['--help']), { code: 0, stdout: /explain/ })
  t.match(await runCli(t, ['help', 'token']), { code: 0, stdout: /--ttl/ })
  t.match(await runCli(t, ['--version']), { code: 0, stdout: /^\d+\.\d+\.\d+\n$/ })
})
