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
    if (!hasCommand(shell)) return t.comment(`${skipWithout(shell)}`)
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

t.test('bash completes a value behind =, and what a line may begin with', async (t) => {
  const { stdout } = await runCli(t, ['completions', 'bash'])
  const folder = t.testdir({ script: stdout })
  // As readline has it: = is a word of its own.
  const script = `source ${folder}/script; COMP_WORDS=(roomcast serve --slow-client = dr); COMP_CWORD=4; _roomcast; echo "\${COMPREPLY[@]}"
    COMP_WORDS=(roomcast --v); COMP_CWORD=1; _roomcast; echo "\${COMPREPLY[@]}"`
  t.equal(execFileSync('bash', ['-c', script], { encoding: 'utf8' }), 'drop\n--version\n')
})

/** How each shell begins, and comes to know the script and a command that says what it was given. */
const shells = {
  bash: ['', 'source FOLDER/_roomcast; roomcast() { echo "ran $*"; }'],
  zsh: [
    'zsh -f',
    'fpath=(FOLDER $fpath); autoload -U compinit; compinit -u -D; roomcast() { echo "ran $*" }',
  ],
  fish: ['fish --no-config', 'source FOLDER/_roomcast; function roomcast; echo "ran $argv"; end'],
} as const

for (const [shell, [begin, prepare]] of Object.entries(shells))
  t.test(`as a person has it: Tab in ${shell}`, { skip: skipWithout(shell) }, async (t) => {
    const { stdout } = await runCli(t, ['completions', shell])
    const folder = t.testdir({ _roomcast: stdout })
    const screen = new Terminal(t)
    if (begin !== '') screen.type(`exec ${begin}`)
    // In two parts: what is typed is on the screen too.
    screen.type(`${prepare.replace('FOLDER', folder)}; clear; echo it is "re"ady`)
    await screen.shows(/it is ready/)
    for (const [typed, more, ran] of [
      ['roomcast expl', '4401', 'ran explain 4401'],
      ['roomcast rooms --pre', ' lob', 'ran rooms --prefix ?=?lob'],
      ['roomcast serve --slow-client dr', '', 'ran serve --slow-client drop'],
      ['roomcast completions f', '', 'ran completions fish'],
      ['roomcast hel', 'expl\t', 'ran help explain'],
    ] as const) {
      screen.keys(typed)
      screen.press('Tab')
      screen.keys(more)
      screen.press('Enter')
      await screen.shows(new RegExp(ran))
    }
  })

function skipWithout(shell: string): string | false {
  return hasCommand(shell) ? false : `${shell} is not here; as root: apt-get install -y ${shell}`
}
