// What docs/WITHOUT-CLIENT.md tells its readers to run, run.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { connect, type Envelope } from '../support/client.ts'
import { codeBlock } from '../support/code-block.ts'
import { firstStart } from '../support/first-start.ts'
import { startProgram } from '../support/program.ts'
import { startServer } from '../support/server.ts'
import { tokenFor } from '../support/token.ts'
import { pollUntil } from '../support/until.ts'

const PAGE = 'docs/WITHOUT-CLIENT.md'
const folder = mkdtempSync(join(tmpdir(), 'roomcast-without-client-'))
t.teardown(() => rmSync(folder, { recursive: true, force: true }))

t.test('the printed wscat line, and the envelopes below it, talk between two terminals', async (t) => {
  const { url, wscat, envelopes } = await firstStart(t)
  const shown = codeBlock(PAGE, '', 'npx -y wscat').trim()
  t.equal(wscat, shown.replace(/ws:[^']*/, url), 'the page shows the line that is printed')
  t.strictSame(
    codeBlock(PAGE, 'json', '"type":"join"').trim().split('\n'),
    envelopes,
    'and the same envelopes',
  )

  const registry = startProgram(t, 'npm', ['view', 'wscat', 'version'])
  if ((await registry.exited().catch(() => 1)) !== 0) {
    t.comment('the npm registry does not answer: wscat cannot be run')
    return
  }
  const open = async () => {
    const terminal = startProgram(t, 'bash', ['-c', wscat])
    await terminal.prints('"type":"welcome"', 60_000)
    return terminal
  }
  const one = await open()
  const other = await open()
  const [join, message] = envelopes
  for (const terminal of [one, other]) {
    terminal.write(`${join}\n`)
    await terminal.prints('"type":"joined"')
  }
  one.write(`${message}\n`)
  await other.prints('"content":"Hello, world!"')
  t.pass('the other terminal shows the message')
})

t.test('the Python snippet prints its message', async (t) => {
  const { url } = await firstStart(t)
  const path = join(folder, 'hello.py')
  writeFileSync(path, codeBlock(PAGE, 'python', 'asyncio.run'))
  const python = startProgram(t, '/usr/bin/python3', ['-u', path, url])
  await python.prints("'content': 'Hello from Python', 'from': {'client': ")
  t.equal(python.stderr, '')
})

t.test('the example in Python prints messages, and comes back after a restart of the server', async (t) => {
  const server = await startServer()
  t.teardown(() => server.stop())
  const token = tokenFor('py')
  const url = `ws://127.0.0.1:${server.port}/ws?token=${token}`
  const python = startProgram(t, '/usr/bin/python3', ['examples/client.py', url, 'news'])
  await python.prints('joined news')
  const client = await connect(server, 'ada')
  await client.join('news')
  client.say('news', 'before')
  await python.prints('ada: before')
  await client.close()
  await server.stop()

  const again = await startServer({ PORT: String(server.port) })
  t.teardown(() => again.stop())
  await python.until('it joins again', () => python.stdout.split('joined news').length === 3 || undefined)
  const late = await connect(again, 'bob')
  await late.join('news')
  late.say('news', 'after')
  await python.prints('bob: after')
  t.equal(python.code, undefined, 'it goes on')
  await late.close()
})

t.test('the lines for recovery are enough, also when the history begins anew', async (t) => {
  const lines = codeBlock(PAGE, 'js', 'const seen').split('\n')
  const begin = lines.findIndex((line) => line.startsWith('// for each envelope'))
  const source = [
    ...lines.slice(0, begin),
    'return ({ type, room, recovered, epoch, offset }) => {',
    ...lines.slice(begin),
    '}',
  ]
  const recover = new Function('socket', 'send', source.join('\n')) as (
    socket: { onopen: () => void },
    send: (envelope: Envelope) => void,
  ) => (envelope: Envelope) => void
  const server = await startServer({
    HISTORY_TOTAL_BYTES: '1048576',
    HISTORY_MAX_BYTES: '2097152',
    MESSAGE_RATE: '0',
  })
  t.teardown(() => server.stop())
  const ada = await connect(server, 'ada')
  await ada.join('general')
  let bob = await connect(server, 'bob')
  const socket = { onopen: () => {} }
  const handle = recover(socket, (envelope) => bob.send(envelope))
  const open = async () => {
    bob.onEnvelope = handle
    socket.onopen()
    return bob.next('joined')
  }
  await open()
  await ada.publish('general', 1)
  await bob.next('message')
  await bob.close()
  await ada.publish('general', 2)
  bob = await connect(server, 'bob')
  t.match(await open(), { recovered: true, missed: 1 })
  t.match(await bob.next('message'), { content: 2 })
  // Rooms in which nobody speaks make way for a large one.
  await ada.join('large')
  for (let n = 0; n < 5; n++) await ada.publish('large', 'x'.repeat(250_000))
  await ada.publish('general', 3)
  await bob.next('reset')
  const { epoch } = await bob.next('joined')
  t.ok(
    bob.received.some(({ type, recovered }) => type === 'joined' && recovered === false),
    'load anew',
  )
  await ada.publish('general', 4)
  await bob.next(({ content }) => content === 4)
  await bob.close()
  await ada.publish('general', 5)
  bob = await connect(server, 'bob')
  t.match(await open(), { recovered: true, missed: 1, epoch }, 'and it goes on from there')
  await Promise.all([ada.close(), bob.close()])
})

t.test('the last 20 messages come at load, and curl reads them too', async (t) => {
  const server = await startServer()
  t.teardown(() => server.stop())
  const ada = await connect(server, 'ada')
  await ada.join('general')
  for (let n = 1; n <= 25; n++) ada.say('general', n)
  await ada.fence()
  const bob = await connect(server, 'bob')
  new Function('socket', codeBlock(PAGE, 'js', 'last: 20'))(bob)
  t.match(await bob.next('joined'), { missed: 20 })
  for (let n = 6; n <= 25; n++) t.equal((await bob.next('message')).content, n)
  const line = codeBlock(PAGE, 'sh', 'curl -N').trim()
  const command = line
    .replace('127.0.0.1:8080', `${server.host}:${server.port}`)
    .replace('$TOKEN', tokenFor('eve'))
  const curl = startProgram(t, 'bash', ['-c', command])
  await curl.prints('"content":6,')
  await curl.prints('"content":25,')
  for (const client of [ada, bob]) await client.close()
})

t.test('the snippet of who is in the room keeps its list, with the rule beside it', async (t) => {
  const [, ROOM_RULES = ''] =
    /^ROOM_RULES='(.*)' npm start$/m.exec(codeBlock(PAGE, 'sh', '"presence": true')) ?? []
  const server = await startServer({ ROOM_RULES })
  t.teardown(() => server.stop())
  const ada = await connect(server, 'ada')
  const socket = {
    send: (text: string) => ada.send(text),
    addEventListener: (_type: string, listener: (event: { data: string }) => void) => {
      ada.onEnvelope = (envelope) => listener({ data: JSON.stringify(envelope) })
    },
  }
  const code = `${codeBlock(PAGE, 'js', 'presence: true')}\nreturn here`
  const here = new Function('socket', code)(socket) as Map<string, unknown>
  const has = (users: string) => pollUntil(users, () => [...here.keys()].join() === users || undefined)
  await has('ada')
  const bob = await connect(server, 'bob', { info: { name: 'Bob' } })
  await bob.join('team-7')
  await has('ada,bob')
  t.strictSame(here.get('bob'), { name: 'Bob' })
  await bob.close()
  await has('ada')
  await ada.close()
})
