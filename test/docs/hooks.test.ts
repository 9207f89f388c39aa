// What docs/HOOKS.md and docs/BUILD.md show of hooks and calls, run.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { RoomcastOptions } from '../../src/app.ts'
import { HOOK_SECRET } from '../support/back-end.ts'
import { type Client, connect, type Envelope } from '../support/client.ts'
import { codeBlock } from '../support/code-block.ts'
import { freePort } from '../support/free-port.ts'
import { serve } from '../support/hook-contract.ts'
import { startProgram } from '../support/program.ts'
import { startServer } from '../support/server.ts'
import { pollUntil } from '../support/until.ts'

// Within the repository, so that its packages are found.
const folder = t.testdir({})
let modules = 0

/** A code block as a module of options; what it calls of the reader's own is given. */
async function optionsOf(code: string, own: string): Promise<RoomcastOptions> {
  const app = new URL('../../src/app.ts', import.meta.url).href
  const path = join(folder, `options${++modules}.mjs`)
  writeFileSync(path, `${own}\n${code.replace("from 'roomcast'", `from '${app}'`)}`)
  return import(path) as Promise<RoomcastOptions>
}

t.test('the hook of docs/BUILD.md refuses, and its call answers as it shows', async (t) => {
  const hook = codeBlock('docs/BUILD.md', 'js', 'not your team').replace(
    'await app.register(roomcast, {',
    'export const all = {',
  )
  const own = 'const isMember = async (user) => user === "ada"'
  const { all } = (await optionsOf(hook.replace(/\)\s*$/, ''), own)) as { all: RoomcastOptions }
  const { calls } = await optionsOf(
    codeBlock('docs/BUILD.md', 'js', 'orders.cancel'),
    'const cancelOrder = async (user, id) => user === "ada" && id === 7',
  )
  const server = await serve(t, { hooks: all.hooks, calls } as RoomcastOptions)
  const [ada, bob] = [await connect(server, 'ada'), await connect(server, 'bob')]
  await ada.join('r')
  t.match(await bob.request({ type: 'join', room: 'r' }), { code: 'refused', message: 'not your team' })
  const [request, result] = codeBlock('docs/BUILD.md', 'json', '"type":"call"').trim().split('\n') as [
    string,
    string,
  ]
  ada.send(request)
  t.equal(ada.text(await ada.next('result')), result)
  t.match(await ada.request({ type: 'call', method: 'orders.cancel', params: { id: 'x' } }), {
    code: 'bad_content',
    message: /^params\.id: /,
  })
  await Promise.all([ada.close(), bob.close()])
})

t.test('the rules of docs/BUILD.md say what rooms take', async (t) => {
  const { rules } = await optionsOf(codeBlock('docs/BUILD.md', 'js', 'export const rules'), '')
  const server = await serve(t, { rules } as RoomcastOptions)
  const ada = await connect(server, 'ada')
  for (const room of ['chat.1', 'cursors.1']) await ada.join(room)
  const say = (room: string, content: unknown) => ada.request({ type: 'message', room, content })
  t.match(await say('chat.1', { text: 'hi' }), { type: 'ack' })
  t.match(await say('chat.1', { text: 7 }), { code: 'bad_content', message: /^content\.text: / })
  t.match(await say('cursors.1', [1, 2]), { type: 'ack' })
  t.match(await say('cursors.1', [1]), { code: 'bad_content' })
  await ada.close()
})

t.test('the functions of docs/HOOKS.md do what the page says', async (t) => {
  const own = `const mayJoin = async (user, room, { signal }) => !signal.aborted && room !== 'closed'
    const cancelOrder = async (user, id) => id === 7`
  const { hooks, calls } = await optionsOf(codeBlock('docs/HOOKS.md', 'js', 'export const hooks'), own)
  const server = await serve(t, { hooks, calls } as RoomcastOptions)
  await t.rejects(connect(server, 'eve', { plan: 'none' }), { message: /403 .*no plan/ })
  const [ada, bob] = [await connect(server, 'ada', { name: 'Ada' }), await connect(server, 'bob')]
  for (const client of [ada, bob]) await client.join('r')
  t.match(await ada.request({ type: 'join', room: 'closed' }), { code: 'refused' })
  for (const content of [{}, null])
    t.match(await ada.request({ type: 'message', room: 'r', content }), { message: 'text is missing' })
  await ada.publish('r', { text: 'damn', n: 1 })
  t.match(await bob.next('message'), { content: { text: '****', n: 1 } })
  t.match(await ada.request({ type: 'call', method: 'time' }), { result: Number })
  const cancelled = await ada.request({ type: 'call', method: 'orders.cancel', params: { id: 7 } })
  t.match(cancelled, { result: { cancelled: true } })
  await Promise.all([ada.close(), bob.close()])
})

t.test('both back ends of docs/HOOKS.md answer a server, and nobody else', async (t) => {
  const programs: [command: string, file: string, code: string][] = [
    [process.execPath, 'back-end.mjs', codeBlock('docs/HOOKS.md', 'js', 'createServer')],
    ['/usr/bin/python3', 'back-end.py', codeBlock('docs/HOOKS.md', 'python', 'http.server')],
  ]
  for (const [command, file, code] of programs) {
    const path = join(folder, file)
    writeFileSync(path, code)
    const port = await freePort()
    const url = `http://127.0.0.1:${port}/`
    startProgram(t, command, [path], { env: { HOOK_SECRET, PORT: String(port) } })
    const forged = { 'webhook-id': 'a', 'webhook-timestamp': '1', 'webhook-signature': 'v1,a' }
    for (const headers of [{}, forged]) {
      const status = () =>
        fetch(url, { method: 'POST', body: '{}', headers }).then(
          (response) => response.status,
          () => undefined,
        )
      t.equal(
        await pollUntil(`${file} answers`, status, 20_000),
        401,
        `${file}: who has not signed gets nothing`,
      )
    }
    const server = await startServer({ HOOK_URL: url, HOOKS: 'connect, join, publish, call', HOOK_SECRET })
    t.teardown(() => server.stop())
    const [ada, bob] = [await connect(server, 'ada'), await connect(server, 'bob')]
    await takesPart(t, ada, bob)
    await Promise.all([ada.close(), bob.close()])
    await server.stop()
  }
})

/** What both examples answer. */
async function takesPart(t: Test, ada: Client, bob: Client) {
  const call = (method: string) => ada.request({ type: 'call', method, params: { a: 1, b: 2 } } as Envelope)
  await ada.join('staff')
  t.match(await bob.request({ type: 'join', room: 'staff' }), { code: 'refused', message: 'staff only' })
  for (const client of [ada, bob]) await client.join('r')
  await ada.publish('r', 'damn')
  await ada.publish('r', 'hello')
  t.match(await bob.next('message'), { content: '****' })
  t.match(await bob.next('message'), { content: 'hello' })
  t.match(await call('add'), { result: 3 })
  t.match(await call('sub'), { code: 'unknown_method' })
  for (const params of [undefined, null, { a: 1 }, { a: 'x', b: 2 }, [1, 2]])
    t.match(await ada.request({ type: 'call', method: 'add', params } as Envelope), { code: 'refused' })
  await ada.publish('r', null)
  t.match(await bob.next('message'), { content: null })
}
