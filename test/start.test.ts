// What ends a start, as an operator reads it.
import { once } from 'node:events'
import { cpSync, rmSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import t, { type Test } from 'tap'
import { startProgram } from './support/program.ts'
import { SECRET } from './support/token.ts'

async function cannotStart(t: Test, env: Record<string, string>, words: RegExp): Promise<void> {
  const program = startProgram(t, process.execPath, ['dist/src/server.js'], {
    env: { JWT_SECRET: SECRET, PORT: '0', ...env },
  })
  t.equal(await program.exited(), 1)
  t.match(program.stderr, words)
  t.equal(program.stderr.trim().split('\n').length, 1, 'one line')
}

t.test('an address that cannot be had', async (t) => {
  const taken = createServer().listen(0, '127.0.0.1')
  await once(taken, 'listening')
  t.teardown(() => taken.close())
  const port = String((taken.address() as AddressInfo).port)
  await cannotStart(t, { PORT: port }, /^roomcast cannot start: HOST, PORT: .*EADDRINUSE/)
  await cannotStart(t, { HOST: 'nonsense.invalid' }, /^roomcast cannot start: HOST, PORT: /)
})

t.test('settings that cannot be honoured, all at once and by their names', async (t) => {
  await cannotStart(
    t,
    { PORT: '99999', MAX_CLIENTS: 'many' },
    /^roomcast cannot start: PORT: .*; MAX_CLIENTS: /,
  )
  await cannotStart(t, { REDIS_URL: 'redis://:100%@127.0.0.1' }, /^roomcast cannot start: REDIS_URL: .*%25/)
  await cannotStart(t, { JWT_SECRET: 'two words' }, /^roomcast cannot start: JWT_SECRET: of several/)
})

t.test('too few descriptors', async (t) => {
  // Below that Node itself cannot read the first file.
  for (const limit of [20, 24, 36, 64, 100]) {
    // tap has its children load files of its own.
    const args = [
      '-u',
      'NODE_OPTIONS',
      'prlimit',
      `--nofile=${limit}`,
      process.execPath,
      'dist/src/server.js',
    ]
    const program = startProgram(t, 'env', args, { env: { JWT_SECRET: SECRET, PORT: '0' } })
    t.equal(await program.exited(), 1)
    t.match(program.stderr, /^roomcast cannot start: too few descriptors, .*\n$/, `${limit}`)
  }
})

t.test('a file of its own that is not there', async (t) => {
  const folder = t.testdir()
  cpSync('dist', `${folder}/dist`, { recursive: true })
  cpSync('package.json', `${folder}/package.json`)
  const program = startProgram(t, process.execPath, [`${folder}/dist/src/server.js`], {
    env: { JWT_SECRET: SECRET, PORT: '0' },
  })
  rmSync(`${folder}/dist/src/config.js`)
  t.equal(await program.exited(), 1)
  t.match(program.stderr, /^roomcast cannot start: Cannot find .*\n$/)
})
