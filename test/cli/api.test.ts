// Commands of the HTTP API, against a real server.
import t from 'tap'
import { API_SECRET } from '../support/api.ts'
import { apiEnv, cliJson, runCli, startCli } from '../support/cli.ts'
import { connect } from '../support/client.ts'
import { freePort } from '../support/free-port.ts'
import { startServer } from '../support/server.ts'

const server = await startServer({ API_KEYS: `shop:${API_SECRET}` })
t.teardown(() => server.stop())
const env = apiEnv(server, API_SECRET)

t.test('publish: JSON as it stands, a text, standard input, lines', async (t) => {
  const client = await connect(server, 'ada')
  await client.join('news')
  const contents = async (count: number) => {
    const all: unknown[] = []
    while (all.length < count) all.push((await client.next('message')).content)
    return all
  }
  t.match(await runCli(t, ['publish', 'news', '{"n":1}'], { env }), {
    code: 0,
    stdout: /^published to news at 1\n$/,
  })
  t.match(await cliJson(t, ['publish', 'news', 'not json', '--user', 'bot'], { env }), {
    scope: 'cluster',
    offset: 2,
  })
  t.match(await runCli(t, ['publish', 'news', '--no-keep', '--text', '7'], { env }), {
    stdout: 'published to news\n',
  })
  t.match(await runCli(t, ['publish', 'news'], { env, input: '[1,2]\n' }), { code: 0 })
  const lines = await runCli(t, ['publish', 'news', '--lines'], { env, input: 'one\ntwo\n\n3\n' })
  t.equal(lines.stdout.split('\n').length, 4)
  t.strictSame(await contents(7), [{ n: 1 }, 'not json', '7', [1, 2], 'one', 'two', 3])
  await client.close()
})

t.test('publish: what is refused', async (t) => {
  const wrong = { ...env, ROOMCAST_API_KEY: 'another-secret-of-sixteen' }
  const refused = await runCli(t, ['publish', 'news', '1'], { env: wrong })
  t.match(refused, { code: 1, stderr: /^roomcast publish: unauthorized: .*ROOMCAST_API_KEY.*\n$/ })
  const nobody = { ...env, ROOMCAST_URL: `http://127.0.0.1:${await freePort()}` }
  t.match(await runCli(t, ['publish', 'news', '1'], { env: nobody }), {
    code: 1,
    stderr: /does not answer: ECONN.*\n$/,
  })
  t.match(await runCli(t, ['publish', 'news', '1'], { cwd: t.testdir({}) }), {
    code: 1,
    stderr: /no key: give/,
  })
  t.match(await runCli(t, ['publish', 'news', '1', '--lines'], { env }), { code: 2, stderr: /--lines reads/ })
  t.match(await runCli(t, ['publish', 'news', '1', '--url', 'ftp://x'], { env }), { code: 2 })
  t.match(await runCli(t, ['publish', ''], { env }), { code: 2 })
})

t.test('rooms, users and disconnect say what is there, and 1 where nothing is', async (t) => {
  const [ada, eve] = [await connect(server, 'ada'), await connect(server, 'eve')]
  for (const client of [ada, eve]) await client.join('team-7')
  const { stdout } = await runCli(t, ['rooms', '--prefix', 'team-'], { env })
  t.equal(stdout, 'room    members  users\nteam-7        2      2\n')
  t.match(await cliJson(t, ['rooms', '--limit', '1'], { env }), { rooms: [{ room: 'team-7', members: 2 }] })
  t.match(await runCli(t, ['rooms', 'team-7'], { env }), {
    code: 0,
    stdout: /^user {2}clients\nada +1\neve +1\n$/,
  })
  t.match(await runCli(t, ['rooms', 'empty'], { env }), { code: 1 })
  t.match(await cliJson(t, ['users', 'ada'], { env }), { clients: [{ rooms: ['team-7'], drops: 0 }] })
  t.match(await runCli(t, ['users', 'nobody'], { env }), { code: 1, stderr: '' })
  const out = await runCli(t, ['disconnect', 'ada', '--room', 'team-7'], { env })
  t.match(out, { code: 0, stdout: '1 client(s)\n' })
  t.match(await ada.next('left'), { room: 'team-7', reason: 'removed' })
  const ended = ada.closed()
  t.match(await runCli(t, ['disconnect', 'ada', '--revoke', '--reason', 'bye'], { env }), { code: 0 })
  t.match(await ended, { code: 4403 })
  t.match(await runCli(t, ['disconnect', 'ada'], { env }), { code: 1, stdout: '0 client(s)\n' })
  const byId = eve.closed()
  t.match(await runCli(t, ['disconnect', '--client', String(eve.welcome.client)], { env }), { code: 0 })
  t.match(await byId, { code: 4403 })
  t.match(await runCli(t, ['disconnect'], { env }), { code: 2 })
})

t.test('stats: once, as JSON, and until it is told to end', async (t) => {
  const once = await runCli(t, ['stats', '--once'], { env })
  t.match(once, { code: 0, stdout: /^0 clients on 1 of 1 nodes\n\nnode .*\n.* memory up\n$/ })
  t.match(await cliJson(t, ['stats', '--once'], { env }), {
    cluster: [{ clients: 0 }],
    nodes: { missing: [] },
  })
  const live = startCli(t, ['stats', '--json', '--every', '1'], { env })
  await live.until('it goes on', () => live.stdout.split('\n').length > 2)
  live.signal('SIGINT')
  t.equal(await live.exited(), 0)
})
