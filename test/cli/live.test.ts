// tail, send and stats, as a person uses them in a terminal and as a script does.
import t from 'tap'
import { API_SECRET } from '../support/api.ts'
import { apiEnv, BIN, runCli, startCli } from '../support/cli.ts'
import { connect } from '../support/client.ts'
import { freePort } from '../support/free-port.ts'
import { startServer } from '../support/server.ts'
import { Terminal } from '../support/tmux.ts'
import { SECRET } from '../support/token.ts'

const PORT = String(await freePort())
const settings = { PORT, API_KEYS: `shop:${API_SECRET}` }
let server = await startServer(settings)
t.teardown(() => server.stop())
const env = apiEnv(server, API_SECRET)
const exported = Object.entries({ ...env, JWT_SECRET: SECRET })
  .map(([name, value]) => `export ${name}='${value}'`)
  .join('; ')

function terminal(t: Parameters<typeof startCli>[0], ...size: number[]): Terminal {
  const one = new Terminal(t, ...size)
  one.type(`${exported}; roomcast() { ${process.execPath} ${BIN} "$@"; }; clear`)
  return one
}

t.test('tail in a script: the last ones, so many of them, as JSON', async (t) => {
  await runCli(t, ['publish', 'log', '--lines'], { env, input: 'one\ntwo\nthree\n' })
  const tail = await runCli(t, ['tail', 'log', '--last', '2', '--count', '2', '--json'], { env })
  t.equal(tail.code, 0, tail.stderr)
  const lines = tail.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { content: string })
  t.strictSame(
    lines.map(({ content }) => content),
    ['two', 'three'],
  )
  t.match(tail.stderr, '-- connected as dev')
  const words = await runCli(t, ['tail', 'log', '--last', '1', '--count', '1'], { env })
  t.match(words.stdout, /^\d\d:\d\d:\d\d server: three\n$/, 'no colours where there is no terminal')
})

t.test('who may not is told so', async (t) => {
  const token = (await runCli(t, ['token', '--can', '{"join":["a"]}'])).stdout.trim()
  const tail = await runCli(t, ['tail', 'b', '--token', token], { env })
  t.match(tail, { code: 1, stderr: /not in b: / })
  t.match(await runCli(t, ['send', 'a', 'x', '--token', token], { env }), {
    code: 1,
    stderr: /^roomcast send: not said: /,
  })
  t.match(await runCli(t, ['send', 'a', '{', '--json-content'], { env }), { code: 2 })
})

t.test('no connection is told in plain words, with what to do', async (t) => {
  const refused = await runCli(t, ['tail', 'a', '--token', 'abc'], { env })
  t.match(refused, { code: 1, stderr: /-- ended: refused; roomcast doctor and roomcast verify say why\n$/ })
  const other = { ...env, JWT_SECRET: 'another-secret-of-thirty-two-bytes' }
  const nobody = { ...env, ROOMCAST_URL: `http://127.0.0.1:${await freePort()}` }
  for (const [wrong, words] of [
    [other, 'not connected (the token is refused; roomcast doctor'],
    [nobody, 'not connected (nothing answers there, or the connection was cut)'],
  ] as const) {
    const tail = startCli(t, ['tail', 'a'], { env: wrong })
    await tail.until(words, () => tail.stderr.includes(words))
    tail.signal('SIGINT')
    t.equal(await tail.exited(), 0)
  }
})

t.test('send in a script: a text, lines, JSON', async (t) => {
  const client = await connect(server, 'ada')
  await client.join('talk')
  t.match(await runCli(t, ['send', 'talk', 'hello', '--user', 'eve'], { env }), { code: 0, stdout: '' })
  t.match(await client.next('message'), { content: 'hello', from: { user: 'eve' } })
  await runCli(t, ['send', 'talk', '--json-content', '--json'], { env, input: '1\n[2]\n' })
  t.match([await client.next('message'), await client.next('message')], [{ content: 1 }, { content: [2] }])
  t.match(await runCli(t, ['send', 'talk', 'quick', '--no-keep'], { env }), { code: 0 })
  t.match(await client.next('message'), { content: 'quick' })
  await client.close()
})

t.test('two terminals talk, over a restart of the server', async (t) => {
  const [ada, eve] = [terminal(t), terminal(t)]
  ada.type('roomcast send general --user ada')
  eve.type('roomcast tail general --user eve')
  await Promise.all([ada.shows(/-- in general; Ctrl-D ends/), eve.shows(/-- in general/)])
  ada.type('Hello, world!')
  await eve.shows(/\d\d:\d\d:\d\d ada: Hello, world!/)
  t.match(eve.screen(true), /\[3\dmada/, 'in a colour')
  await server.stop('SIGKILL')
  await Promise.all([ada.shows(/-- not connected/), eve.shows(/-- not connected/)])
  server = await startServer(settings)
  // The new server keeps nothing of before: what is said while eve is away, she does not get.
  await eve.shows(/-- in general; some may be missing/)
  ada.type('Are you back?')
  await eve.shows(/ada: Are you back\?/)
  eve.press('C-c')
  ada.press('C-d')
  eve.type('echo code=$?')
  ada.type('echo code=$?')
  await Promise.all([ada.shows(/^code=0/m), eve.shows(/^code=0/m)])
})

t.test('NO_COLOR, and what others write cannot move the cursor', async (t) => {
  const eve = terminal(t)
  eve.type('NO_COLOR=1 roomcast tail plain')
  await eve.shows(/-- in plain/)
  await runCli(t, ['publish', 'plain', '"\\u001b[2J\\u202eevil"'], { env })
  await eve.shows(/server: .\[2J.evil/)
  t.notMatch(eve.screen(true), '\u001b[3')
})

t.test('stats draws in place, also in a terminal that is made small', async (t) => {
  const screen = terminal(t)
  screen.type('roomcast stats')
  await screen.shows(/0 clients on 1 of 1 nodes[\s\S]*memory up/)
  const client = await connect(server, 'ada')
  const drawn = await screen.shows(/1 clients on 1 of 1 nodes/)
  t.equal(drawn.split('memory up').length, 2, 'once')
  screen.resize(30, 8)
  await client.close()
  await screen.shows(/0 clients on 1 of 1/)
  await server.stop()
  await screen.shows(/as of before/)
  server = await startServer(settings)
  screen.press('C-c')
  screen.type('echo code=$?')
  await screen.shows(/^code=0/m)
})
