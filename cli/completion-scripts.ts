/** What a shell is told of a subcommand. */
export interface Completed {
  name: string
  summary: string
  flags: { flag: string; about: string; values: readonly string[]; takesValue: boolean }[]
}

const quoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`
const shells = 'bash zsh fish'
/** What every command line may begin with besides a command. */
const help = { name: 'help', summary: 'how a command is used' }
const first = [
  { flag: 'help', about: 'how it is used' },
  { flag: 'version', about: 'which version it is' },
]

/** For bash-completion, or to be sourced. */
export function bashScript(commands: Completed[]): string {
  const cases = commands.map(
    ({ name, flags }) => `    ${name}) words=${quoted(flags.map(({ flag }) => flag).join(' '))} ;;`,
  )
  const values = new Map<string, string>()
  for (const { flags } of commands)
    for (const { flag, values: choices } of flags) if (choices.length > 0) values.set(flag, choices.join(' '))
  const choices = [...values].map(
    ([flag, words]) => `    ${flag}) COMPREPLY=($(compgen -W ${quoted(words)} -- "$word")); return ;;`,
  )
  return `# Completions of roomcast for bash; made by \`roomcast completions bash\`.
_roomcast() {
  local word=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD-1]} words=''
  COMPREPLY=()
  # --flag=value comes as three words.
  if [[ $word == = ]]; then word=''; elif [[ $before == = ]]; then before=\${COMP_WORDS[COMP_CWORD-2]}; fi
  case "$before" in
${choices.join('\n')}
  esac
  if ((COMP_CWORD == 1)); then
    COMPREPLY=($(compgen -W ${quoted(firstWords(commands))} -- "$word"))
    return
  fi
  case "\${COMP_WORDS[1]}" in
    help) words=${quoted(commands.map(({ name }) => name).join(' '))} ;;
    completions) words='${shells}' ;;
${cases.filter((line) => !line.startsWith('    completions)')).join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$word"))
}
complete -o default -F _roomcast roomcast
`
}

function firstWords(commands: Completed[]): string {
  return (
    [...commands, help].map(({ name }) => name).join(' ') + first.map(({ flag }) => ` --${flag}`).join('')
  )
}

/** For a folder of zsh's fpath, as _roomcast. */
export function zshScript(commands: Completed[]): string {
  const escaped = (text: string) => text.replace(/[[\]:\\]/g, '\\$&')
  const names = [...commands, help].map(({ name, summary }) => `    ${quoted(`${name}:${escaped(summary)}`)}`)
  const cases = commands.map(({ name, flags }) => {
    const specs = flags.map(({ flag, about, values, takesValue }) => {
      const value = values.length > 0 ? `:value:(${values.join(' ')})` : takesValue ? ':value:_default' : ''
      // With = the value may stand behind it, or be the next word.
      return quoted(`*${flag}${value === '' ? '' : '='}[${escaped(about)}]${value}`)
    })
    const words = name === 'completions' ? `'1:shell:(${shells})'` : "'*:argument:_default'"
    return `    ${name}) _arguments ${[...specs, words].join(' \\\n      ')} ;;`
  })
  return `#compdef roomcast
# Completions of roomcast for zsh; made by \`roomcast completions zsh\`.
_roomcast() {
  local -a names=(
${names.join('\n')}
  )
  if ((CURRENT == 2)); then
    if [[ $words[2] == -* ]]; then
      _arguments ${first.map(({ flag, about }) => quoted(`--${flag}[${about}]`)).join(' ')}
    else
      _describe 'command' names
    fi
    return
  fi
  local name=$words[2]
  shift words
  ((CURRENT--))
  case "$name" in
    help) _describe 'command' names ;;
${cases.join('\n')}
  esac
}
if [[ $funcstack[1] == _roomcast ]]; then _roomcast "$@"; else compdef _roomcast roomcast; fi
`
}

/** For fish's folder of completions. */
export function fishScript(commands: Completed[]): string {
  const lines = commands.flatMap(({ name, summary, flags }) => [
    `complete -c roomcast -n __fish_use_subcommand -f -a ${name} -d ${fishQuoted(summary)}`,
    ...flags.map(({ flag, about, values, takesValue }) => {
      const value = values.length > 0 ? ` -x -a ${fishQuoted(values.join(' '))}` : takesValue ? ' -r' : ''
      return `complete -c roomcast -n '__fish_seen_subcommand_from ${name}' -l ${flag.slice(2)}${value} -d ${fishQuoted(about)}`
    }),
  ])
  return `# Completions of roomcast for fish; made by \`roomcast completions fish\`.
${lines.join('\n')}
complete -c roomcast -n __fish_use_subcommand -f -a ${help.name} -d ${fishQuoted(help.summary)}
${first.map(({ flag, about }) => `complete -c roomcast -n __fish_use_subcommand -l ${flag} -d ${fishQuoted(about)}`).join('\n')}
complete -c roomcast -n '__fish_seen_subcommand_from completions' -f -a '${shells}'
complete -c roomcast -n '__fish_seen_subcommand_from help' -f -a ${fishQuoted(commands.map(({ name }) => name).join(' '))}
`
}

const fishQuoted = (text: string) => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`
