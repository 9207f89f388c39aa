// Every example says how it is started, is listed, and has a test.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import { startProgram } from '../support/program.ts'

const names = readdirSync('examples', { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name)

t.test('each example has its command, its line in the list, and a test', async (t) => {
  t.ok(names.length >= 8)
  const list = readFileSync('examples/README.md', 'utf8')
  for (const name of names) {
    t.match(readFileSync(`examples/${name}/README.md`, 'utf8'), `\`\`\`sh\nnpm run example ${name}\n\`\`\``)
    t.match(list, `| [\`${name}\`](${name}) |`)
    t.ok(existsSync(`test/examples/${name}.test.ts`), `test/examples/${name}.test.ts`)
  }
})

t.test('a name that is none is answered with those that there are', async (t) => {
  const program = startProgram(t, 'npm', ['run', 'example', 'nothing'])
  t.equal(await program.exited(), 1)
  for (const name of names) t.match(program.stderr, name)
})
