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
