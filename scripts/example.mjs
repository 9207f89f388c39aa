// npm run example NAME: builds what examples need, once, then starts examples/NAME/server.mjs.
import { execFileSync } from 'node:child_process'
import { chmodSync, existsSync, readdirSync, renameSync, rmSync } from 'node:fs'

const root = new URL('..', import.meta.url)
const folders = readdirSync(new URL('examples', root), { withFileTypes: true })
const names = folders.filter((entry) => entry.isDirectory()).map((entry) => entry.name)
const [name] = process.argv.slice(2)

/** `npm run build` without checks and declarations, in half the time; `npm start` and `npm test` build anew. */
function build() {
  const run = (...args) => execFileSync(process.execPath, args, { cwd: root, stdio: 'inherit' })
  const [fresh, dist] = ['dist.new', 'dist'].map((folder) => new URL(folder, root))
  rmSync(fresh, { recursive: true, force: true })
  const quick = ['--noCheck', '--declaration', 'false', '--sourceMap', 'false']
  run('node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json', ...quick, '--outDir', 'dist.new')
  chmodSync(new URL('dist.new/cli/roomcast.js', root), 0o755)
  rmSync(dist, { recursive: true, force: true })
  renameSync(fresh, dist)
  run('client/build.mjs')
  run('console/build.mjs')
}

if (names.includes(name)) {
  const isBuilt = ['dist/src/app.js', 'client/dist/index.js'].every((file) => existsSync(new URL(file, root)))
  if (!isBuilt) {
    console.log('Building roomcast, once …')
    build()
  }
  await import(new URL(`examples/${name}/server.mjs`, root))
} else {
  console.error(`npm run example NAME, where NAME is one of: ${names.join(', ')}`)
  process.exitCode = 1
}
