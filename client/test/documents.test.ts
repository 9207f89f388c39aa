// docs/CLIENT.md: its scripts are run, as they stand there, against a server.
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { transformSync } from 'esbuild'
import t, { type Test } from 'tap'
import { HOOK_SECRET, startBackEnd } from '../../test/support/back-end.ts'
import { connect } from '../../test/support/client.ts'
import { type Program, startProgram } from '../../test/support/program.ts'
import { type Env, startServer } from '../../test/support/server.ts'
import { tokenFor } from '../../test/support/token.ts'
import { project } from './support/packed.ts'

const RULES = JSON.stringify([{ match: '*', presence: { lingerMs: 0, intervalMs: 10 } }])
const scripts = [...readFileSync('docs/CLIENT.md', 'utf8').matchAll(/```ts\n([\s\S]*?)```/g)].map(
  ([, text = '']) => text,
)
const ws = resolve('node_modules/ws/wrapper.mjs')

/** Runs the one script that has `part`, for user `ada`. */
async function run(t: Test, part: string, env: Env = {}) {
  const found = scripts.filter((text) => text.includes(part))
  t.equal(found.length, 1, `one script has ${part}`)
  const server = await startServer({ ROOM_RULES: RULES, ...env })
  t.teardown(() => server.stop())
  const [script = ''] = found
  const { code } = transformSync(
    script.replace('https://rooms.example', server.url('/')).replace("'…'", 'globalThis.token'),
    { loader: 'ts' },
  )
  const directory = project(t, {
    'page.mjs': `import { WebSocket } from '${ws}'
globalThis.token = '${tokenFor('ada')}'
globalThis.WebSocket ??= WebSocket
const { fetch } = globalThis
globalThis.fetch = (url, ...rest) => (url === '/token' ? Promise.resolve(new Response(token)) : fetch(url, ...rest))`,
    'script.mjs': code,
  })
  const args = ['--import', join(directory, 'page.mjs'), 'script.mjs']
  return { server, program: startProgram(t, process.execPath, args, { cwd: directory }) }
}

/** Once all is printed it still runs: nothing has failed. */
async function isSound(t: Test, program: Program, ...printed: string[]) {
  for (const text of printed) await program.prints(text)
  t.equal(program.code, undefined, program.stderr)
}

t.test('each script is run here', (t) => {
  t.equal(scripts.length, 4)
  t.end()
})

t.test('the first one: rooms, presence, history, calls, loops', async (t) => {
  const backEnd = await startBackEnd(t, (_, response) => response.end('{"result":true}'))
  const { server, program } = await run(t, 'orders.cancel', {
    ...{ HOOK_URL: backEnd.url, HOOKS: 'call', HOOK_SECRET },
  })
  await isSound(t, program, 'ada hi\n', '1 are here\n', 'true\n')
  const bob = await connect(server, 'bob')
  await bob.join('chat.general')
  // Until the loop is there, which begins behind the call.
  await bob.publish('chat.general', { text: 'to the loop' })
  await isSound(t, program, 'bob to the loop\n', '2 are here\n')
  await bob.close()
})

t.test('tabs', async (t) => {
  const { server, program } = await run(t, 'roomcast-client/tabs')
  const bob = await connect(server, 'bob')
  await bob.join('general')
  await bob.publish('general', 'hello')
  await isSound(t, program, 'hello\n')
  await bob.close()
})

t.test('states', async (t) => {
  const { server, program } = await run(t, 'back in')
  await isSound(t, program, 'connected as ada by websocket\n')
  await server.stop()
  await isSound(t, program, 'back in ')
})

t.test('errors', async (t) => {
  const { program } = await run(t, 'maybeDelivered', { DEFAULT_CAN: '{"join":["other"]}' })
  await program.prints('not in the room: forbidden, ')
  await program.prints('never: forbidden\n')
})
