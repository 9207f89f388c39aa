// What is shipped: its size, its types, and that the packed package works by itself.
import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import t, { type Test } from 'tap'
import ts from 'typescript'

const MOST_BYTES = 6 * 1024

t.test('the core is at most 6 KiB, minified and gzipped', async (t) => {
  const bytes = gzipSync(readFileSync('client/dist/index.js'), { level: 9 }).length
  t.comment(`${bytes} bytes`)
  t.ok(bytes <= MOST_BYTES, `${bytes} bytes`)
  t.ok(bytes > 3_000, 'it is all there')
})

/** A project that has the packed client, and nothing else. */
function project(t: Test, files: Record<string, string>): string {
  const directory = t.testdir({ 'package.json': '{"type":"module"}', ...files })
  const [{ filename }] = JSON.parse(
    execFileSync('npm', ['pack', '--json', '--pack-destination', directory], {
      cwd: 'client',
      encoding: 'utf8',
    }),
  ) as [{ filename: string }]
  execFileSync('tar', ['xzf', join(directory, filename), '-C', directory])
  mkdirSync(join(directory, 'node_modules'))
  cpSync(join(directory, 'package'), join(directory, 'node_modules/roomcast-client'), { recursive: true })
  return directory
}

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

t.test('the example of docs/CLIENT.md compiles', async (t) => {
  const [, example = ''] = /```ts\n([\s\S]*?)```/.exec(readFileSync('docs/CLIENT.md', 'utf8')) ?? []
  t.match(example, /connect</)
  const directory = project(t, { 'example.ts': example })
  const program = ts.createProgram([join(directory, 'example.ts')], {
    ...{ module: ts.ModuleKind.ESNext, moduleResolution: ts.ModuleResolutionKind.Bundler },
    ...{ target: ts.ScriptTarget.ES2022, strict: true, noEmit: true, types: [] },
    lib: ['lib.es2022.d.ts', 'lib.dom.d.ts'],
  })
  t.strictSame(
    ts
      .getPreEmitDiagnostics(program)
      .map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, ' ')),
    [],
  )
})

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
