// What is shipped: its size, its types, and that the packed package works by itself.
import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import t from 'tap'
import ts from 'typescript'
import { pack, project } from './support/packed.ts'

const MOST_BYTES = 6 * 1024
const MOST_TABS_BYTES = 2 * 1024

t.test('the core is at most 6 KiB, minified and gzipped', async (t) => {
  const bytes = gzipSync(readFileSync('client/dist/index.js'), { level: 9 }).length
  t.comment(`${bytes} bytes`)
  t.ok(bytes <= MOST_BYTES, `${bytes} bytes`)
  t.ok(bytes > 3_000, 'it is all there')
})

t.test('one socket for all tabs is at most 2 KiB more', async (t) => {
  const code = readFileSync('client/dist/tabs.js')
  const bytes = gzipSync(code, { level: 9 }).length
  t.comment(`${bytes} bytes`)
  t.ok(bytes <= MOST_TABS_BYTES, `${bytes} bytes`)
  t.match(code.toString(), /from"\.\/index\.js"/, 'the core is not in it once more')
})

t.test('both packages are published in one version, with provenance', async (t) => {
  const [server, client] = ['package.json', 'client/package.json'].map((file) =>
    JSON.parse(readFileSync(file, 'utf8')),
  )
  t.equal(client.version, server.version)
  t.match(readFileSync('CHANGELOG.md', 'utf8'), `## [${server.version}]`)
  for (const { publishConfig } of [server, client])
    t.strictSame(publishConfig, { access: 'public', provenance: true })
})

for (const [name, folder] of [
  ['roomcast', '.'],
  ['roomcast-client', 'client'],
] as const)
  t.test(`publint and attw have nothing to say of ${name}`, async (t) => {
    const tarball = pack(folder, t.testdir())
    const tool = (command: string, ...args: string[]) =>
      spawnSync(`node_modules/.bin/${command}`, args, { encoding: 'utf8' })
    const publint = tool('publint', 'run', tarball, '--strict')
    t.equal(publint.status, 0, publint.stdout)
    const types = tool('attw', tarball, '--profile', 'esm-only')
    t.equal(types.status, 0, types.stdout)
  })

const uses = readFileSync('client/test/typed/uses.ts', 'utf8')
const resolutions = [
  ['bundler', ts.ModuleKind.ESNext, ts.ModuleResolutionKind.Bundler],
  ['nodenext', ts.ModuleKind.NodeNext, ts.ModuleResolutionKind.NodeNext],
] as const
for (const [name, module, moduleResolution] of resolutions)
  t.test(`the packed types say what a page may do (${name})`, async (t) => {
    const directory = project(t, { 'uses.ts': uses })
    const program = ts.createProgram([join(directory, 'uses.ts')], {
      ...{ module, moduleResolution, target: ts.ScriptTarget.ES2022, strict: true, noEmit: true, types: [] },
      lib: ['lib.es2022.d.ts', 'lib.dom.d.ts'],
    })
    const faults = ts
      .getPreEmitDiagnostics(program)
      .map(
        ({ file, start, messageText }) =>
          `${file?.fileName} ${start}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`,
      )
    t.strictSame(faults, [], 'with no other package, and libraries checked too')
  })

t.test('the examples of docs/CLIENT.md compile', async (t) => {
  const examples = [...readFileSync('docs/CLIENT.md', 'utf8').matchAll(/```(tsx?)\n([\s\S]*?)```/g)]
  t.ok(examples.length >= 3)
  const files = examples.map(([, kind, text = ''], at) => [`example${at}.${kind}`, `${text}\nexport {}\n`])
  const directory = project(t, Object.fromEntries(files))
  mkdirSync(join(directory, 'node_modules/@types'))
  for (const name of ['react', 'csstype'])
    cpSync(typesOf(name), join(directory, 'node_modules', name === 'react' ? '@types/react' : name), {
      recursive: true,
    })
  const program = ts.createProgram(
    files.map(([name = '']) => join(directory, name)),
    {
      ...{ module: ts.ModuleKind.ESNext, moduleResolution: ts.ModuleResolutionKind.Bundler },
      ...{ target: ts.ScriptTarget.ES2022, strict: true, noEmit: true, types: [] },
      jsx: ts.JsxEmit.ReactJSX,
      lib: ['lib.es2022.d.ts', 'lib.dom.d.ts'],
    },
  )
  t.strictSame(
    ts
      .getPreEmitDiagnostics(program)
      .map(
        ({ file, messageText }) => `${file?.fileName}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`,
      ),
    [],
  )
})

/** Where npm has put a package's types: the client's own React is not the one of tap. */
function typesOf(name: string): string {
  const folders = ['client/node_modules/@types', 'node_modules/@types', 'client/node_modules', 'node_modules']
  const found = folders.map((folder) => `${folder}/${name}`).find((path) => existsSync(`${path}/index.d.ts`))
  if (found === undefined) throw new Error(`no types of ${name}`)
  return found
}

t.test('docs/CLIENT.md has every option, state and code', async (t) => {
  const text = readFileSync('docs/CLIENT.md', 'utf8')
  const types = readFileSync('client/src/types.ts', 'utf8')
  const within = (start: string) =>
    types.slice(types.indexOf(start), types.indexOf('\n}', types.indexOf(start)))
  const options = [
    ...`${within('interface HubOptions')}${within('interface RoomOptions')}`.matchAll(/^ {2}(\w+)\??:/gm),
  ]
  t.ok(options.length >= 8)
  for (const [, name] of options) t.match(text, `| \`${name}\``)
  for (const name of ['connecting', 'open', 'waiting', 'closed']) t.match(text, `| \`${name}\` |`)
  const own = readFileSync('client/src/errors.ts', 'utf8').matchAll(/^ {2}\| '(\w+)'/gm)
  for (const [, code] of own) t.match(text, `| \`${code}\` |`)
})

t.test('Node imports the packed package, and nothing happens until it is asked to', async (t) => {
  const directory = project(t, {})
  writeFileSync(
    join(directory, 'script.js'),
    `import { connect, RoomcastError } from 'roomcast-client'
     const hub = connect('http://127.0.0.1:1', { token: 'x' })
     hub.close()
     console.log(hub.state.name, new RoomcastError('offline') instanceof Error, typeof connect)`,
  )
  t.equal(
    execFileSync(process.execPath, ['script.js'], { cwd: directory, encoding: 'utf8' }),
    'closed true function\n',
  )
})

t.test(
  'case 39: no storage is touched, and nothing is guessed from process, window or document',
  async (t) => {
    const directory = project(t, {})
    writeFileSync(
      join(directory, 'script.js'),
      `for (const name of ['localStorage', 'sessionStorage', 'indexedDB', 'cookieStore', 'caches'])
       Object.defineProperty(globalThis, name, { get() { throw new Error('touched ' + name) } })
     const { log } = console
     // As bundlers and test tools leave them: there, and of no use.
     globalThis.window = {}
     globalThis.process = undefined
     globalThis.navigator ??= {}
     const sockets = []
     const WebSocket = class { constructor(url) { sockets.push(url) } close() {} }
     for (const name of ['roomcast-client', 'roomcast-client/tabs']) {
       const { connect } = await import(name)
       const hub = connect('http://127.0.0.1:1', { token: 'x', WebSocket })
       await new Promise((resolve) => setTimeout(resolve))
       hub.close()
     }
     log(sockets.length)`,
    )
    t.equal(execFileSync(process.execPath, ['script.js'], { cwd: directory, encoding: 'utf8' }), '2\n')
  },
)
