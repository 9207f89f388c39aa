// Completions are made of the commands, and the shells take them.
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import t from 'tap'
import { commands } from '../../cli/commands.ts'
import { runCli } from '../support/cli.ts'
import { hasCommand } from '../support/has-command.ts'
import { Terminal } from '../support/tmux.ts'

for (const shell of ['bash', 'zsh', 'fish'] as const)
  t.test(`${shell} knows every command`, async (t) => {
    const { code, stdout } = await runCli(t, ['completions', shell])
    t.equal(code, 0)
    for (const name of Object.keys(commands)) t.ok(stdout.includes(name), name)
    t.match(stdout, /max-clients/, 'and every setting')
    if (!hasCommand(shell)) return t.comment(`no ${shell} is here to try it`)
    const folder = t.testdir({})
    writeFileSync(`${folder}/script`, stdout)
    execFileSync(shell, ['-n', `${folder}/script`])
  })

t.test('bash completes commands, flags and values', async (t) => {
  const { stdout } = await runCli(t, ['completions', 'bash'])
  const folder = t.testdir({ script: stdout })
  const ask = (...words: string[]) => {
    const list = words.map((word) => `'${word}'`).join(' ')
    const script = `source ${folder}/script; COMP_WORDS=(roomcast ${list}); COMP_CWORD=${words.length}; _roomcast; echo "\${COMPREPLY[@]}"`
    return execFileSync('bash', ['-c', script], { encoding: 'utf8' }).trim()
  }
  t.equal(ask('comp'), 'completions')
  t.equal(ask('rooms', '--pre'), '--prefix')
  t.equal(ask('serve', '--slow-client', 'dr'), 'drop')
  t.equal(ask('completions', 'f'), 'fish')
})

t.test('as a person has it: Tab', async (t) => {
  const { stdout } = await runCli(t, ['completions', 'bash'])
  const folder = t.testdir({ script: stdout })
  const screen = new Terminal(t)
  screen.type(`source ${folder}/script; roomcast() { echo "ran $*"; }; clear`)
  screen.keys('roomcast expl')
  screen.press('Tab')
  screen.type('4401')
  await screen.shows(/ran explain 4401/)
})
