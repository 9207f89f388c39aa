// What docs/BUILD.md, and docs/BACKENDS.md at its beginning, tell their readers to run, run.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { connect } from '../support/client.ts'
import { codeBlock } from '../support/code-block.ts'
import { firstStart } from '../support/first-start.ts'
import { startProgram } from '../support/program.ts'
import { startServer } from '../support/server.ts'

const PAGE = 'docs/BUILD.md'
const folder = mkdtempSync(join(tmpdir(), 'roomcast-build-'))
t.teardown(() => rmSync(folder, { recursive: true, force: true }))

t.test(
  'a back end publishes with curl, Node and Python, and with the line that a first start prints',
  async (t) => {
    const { server, url } = await firstStart(t)
    const line = server.stdout
      .slice(server.stdout.findIndex((text) => /^ *curl /.test(text)))
      .slice(0, 2)
      .join('\n')
    const SECRET = /Bearer ([^']+)/.exec(line)?.[1] ?? ''
    const reader = await connect(
      server,
      'reader',
      {},
      { token: new URL(url).searchParams.get('token') ?? '' },
    )
    await reader.join('general')
    const curl = codeBlock('docs/BACKENDS.md', 'sh', 'Hello from curl')
    t.equal(codeBlock(PAGE, 'sh', 'Hello from curl'), curl, 'both pages show the same')
    const at = (code: string) => code.replace('127.0.0.1:8080', `127.0.0.1:${server.port}`)
    const [js, py] = [join(folder, 'publish.mjs'), join(folder, 'publish.py')]
    writeFileSync(js, at(codeBlock('docs/BACKENDS.md', 'js', 'Hello from Node')))
    writeFileSync(py, at(codeBlock('docs/BACKENDS.md', 'python', 'a Python back end')))
    for (const [content, command, args] of [
      ['Hello from a back end!', 'bash', ['-c', line]],
      ['Hello from curl', 'bash', ['-c', at(curl)]],
      ['Hello from Node', process.execPath, [js]],
      ['Hello from a Python back end', '/usr/bin/python3', [py]],
    ] as const) {
      const program = startProgram(t, command, [...args], { env: { SECRET } })
      await program.prints('cluster')
      t.match(await reader.next('message'), { content, from: { app: true } }, content)
    }
  },
)

t.test(
  'with the rules of the page only the app speaks in the news, and cursors are kept nowhere',
  async (t) => {
    const [, ROOM_RULES = ''] =
      /^ROOM_RULES='([^']*)' npm start$/m.exec(codeBlock(PAGE, 'sh', '"match": "news"')) ?? []
    const server = await startServer({ ROOM_RULES })
    t.teardown(() => server.stop())
    const ada = await connect(server, 'ada')
    for (const room of ['news', 'cursors.7', 'team-7']) await ada.join(room)
    t.match(await ada.request({ type: 'message', room: 'news', content: 1 }), {
      type: 'error',
      code: 'forbidden',
    })
    t.notOk('offset' in (await ada.publish('cursors.7', 1)))
    t.match(await ada.publish('team-7', 1), { offset: 1 })
    const many = await Promise.all(
      Array.from({ length: 500 }, () => ada.request({ type: 'message', room: 'cursors.7', content: 1 })),
    )
    t.ok(many.some(({ code }) => code === 'rate_limited'))
    await ada.close()
  },
)
