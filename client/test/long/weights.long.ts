// What the well-known clients weigh, measured as ours is, and what docs/CLIENT.md says of it. They come from npm for the test.
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import t from 'tap'
import { pack } from '../support/packed.ts'

const text = readFileSync('docs/CLIENT.md', 'utf8')
/** Of the table: name, version, bytes. */
const rows = [...text.matchAll(/^\| (\S+) (\d+\.\d+\.\d+) \| ([\d,]+) \|/gm)].map(
  ([, name = '', version, bytes = '']) => ({
    name,
    version,
    bytes: Number(bytes.replaceAll(',', '')),
  }),
)
/** What zlibs and bundlers differ by, from one machine to the next. */
const TOLERANCE = 0.02

t.test('docs/CLIENT.md says what each client weighs', async (t) => {
  t.ok(rows.length >= 6)
  const directory = t.testdir({ 'package.json': '{"type":"module"}' })
  const others = rows.filter(({ name }) => name !== 'roomcast-client')
  const packages = others.map(({ name, version }) => `${name}@${version}`)
  execFileSync(
    'npm',
    ['install', '--no-audit', '--no-fund', '--ignore-scripts', pack('client', directory), ...packages],
    { cwd: directory, stdio: 'pipe' },
  )
  for (const { name, version, bytes } of rows) {
    const { outputFiles } = await build({
      stdin: { contents: `export * from '${name}'`, resolveDir: directory },
      ...{ bundle: true, minify: true, format: 'esm', platform: 'browser', write: false, logLevel: 'silent' },
      ...{ splitting: true, outdir: directory },
    })
    const [{ contents } = { contents: new Uint8Array() }] = outputFiles
    const weight = gzipSync(contents, { level: 9 }).length
    t.comment(`${name} ${version}: ${weight} bytes`)
    t.ok(Math.abs(weight - bytes) <= bytes * TOLERANCE, `${name}: ${weight}, and the document says ${bytes}`)
  }
})
