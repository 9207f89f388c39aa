// npm run example NAME: builds roomcast once, then starts examples/NAME/server.mjs.
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'

const root = new URL('..', import.meta.url)
const folders = readdirSync(new URL('examples', root), { withFileTypes: true })
const names = folders.filter((entry) => entry.isDirectory()).map((entry) => entry.name)
const [name] = process.argv.slice(2)

if (names.includes(name)) {
  const isBuilt = ['dist/src/app.js', 'client/dist/index.js'].every((file) => existsSync(new URL(file, root)))
  if (!isBuilt) execFileSync('npm', ['run', 'build'], { cwd: root, stdio: 'inherit' })
  await import(new URL(`examples/${name}/server.mjs`, root))
} else {
  console.error(`npm run example NAME, where NAME is one of: ${names.join(', ')}`)
  process.exitCode = 1
}
