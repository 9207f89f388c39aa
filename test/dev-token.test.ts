// The secret of a server that was given none, over restarts, and tokens that it signs.
import { chmodSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import t, { type Test } from 'tap'
import { connect } from './support/client.ts'
import { startProgram } from './support/program.ts'

const tsx = resolve('node_modules/.bin/tsx')
const env = { PORT: '0', JWT_SECRET: '' }

/** A server in this folder, and the token that it prints. */
async function startIn(t: Test, cwd: string, more = {}) {
  const program = startProgram(t, process.execPath, [resolve('dist/src/server.js')], {
    cwd,
    env: { ...env, ...more },
  })
  const [, port, token] = await program.until(
    'it prints a URL',
    () => /^ +ws:\/\/127\.0\.0\.1:(\d+)\/ws\?token=(\S+)$/m.exec(program.stdout) ?? undefined,
  )
  const stop = () => {
    program.signal('SIGTERM')
    return program.exited()
  }
  return { program, port: Number(port), token: token ?? '', stop }
}

async function userOf(port: number, token: string): Promise<unknown> {
  const client = await connect({ host: '127.0.0.1', port }, '', {}, { token })
  await client.close()
  return client.welcome.user
}

t.test('the secret survives a restart, and only its owner and no git sees it', async (t) => {
  const folder = t.testdir({})
  const first = await startIn(t, folder)
  t.equal(await first.stop(), 0)
  const second = await startIn(t, folder)
  t.equal(await userOf(second.port, first.token), 'dev', 'a page goes on with the token that it had')
  const file = join(folder, '.roomcast/dev-secret')
  t.equal(statSync(file).mode & 0o777, 0o600)
  t.equal(readFileSync(join(folder, '.roomcast/.gitignore'), 'utf8'), '*\n')
  const script = startProgram(t, tsx, [resolve('cli/roomcast.ts'), 'token', '--user', 'ada'], {
    cwd: folder,
    env,
  })
  t.equal(await script.exited(), 0, script.stderr)
  t.equal(await userOf(second.port, script.stdout.trim()), 'ada', 'and others are signed with it')
  const limited = startProgram(t, tsx, [resolve('cli/roomcast.ts'), 'token', '--can', '{"join":["news"]}'], {
    cwd: folder,
    env,
  })
  t.equal(await limited.exited(), 0, limited.stderr)
  const client = await connect(
    { host: '127.0.0.1', port: second.port },
    '',
    {},
    { token: limited.stdout.trim() },
  )
  t.match(await client.request({ type: 'join', room: 'other' }), { code: 'forbidden' })
  await client.join('news')
  await client.close()
  const wrong = startProgram(t, tsx, [resolve('cli/roomcast.ts'), 'token', '--can', '{"all":true}'], {
    cwd: folder,
    env,
  })
  t.equal(await wrong.exited(), 2)
  t.match(wrong.stderr, 'can')
})

t.test('a secret that others can read, or that is broken, is not used', async (t) => {
  const folder = t.testdir({})
  const { stop } = await startIn(t, folder)
  await stop()
  const file = join(folder, '.roomcast/dev-secret')
  const kept = readFileSync(file, 'utf8')
  chmodSync(file, 0o644)
  const careful = await startIn(t, folder)
  t.match(careful.program.stdout, 'lasts until it stops')
  t.equal(readFileSync(file, 'utf8'), kept)
  chmodSync(file, 0o600)
  writeFileSync(file, '')
  t.match((await startIn(t, folder)).program.stdout, 'lasts until it stops')
})

t.test('a folder that others can change is not written to', async (t) => {
  const folder = t.testdir({ mine: 'kept', '.roomcast': {} })
  const theirs = join(folder, '.roomcast')
  symlinkSync(join(folder, 'mine'), join(theirs, '.gitignore'))
  chmodSync(theirs, 0o777)
  const { program } = await startIn(t, folder)
  t.match(program.stdout, 'lasts until it stops')
  t.equal(readFileSync(join(folder, 'mine'), 'utf8'), 'kept')
})
