/** What a shell is told of a subcommand. */
export interface Completed {
  name: string
  summary: string
  flags: { flag: string; about: string; values: readonly string[]; takesValue: boolean }[]
}

const quoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`
const shells = 'bash zsh fish'

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
  case "$before" in
${choices.join('\n')}
  esac
  if ((COMP_CWORD == 1)); then
    COMPREPLY=($(compgen -W ${quoted(`${commands.map(({ name }) => name).join(' ')} help --help --version`)} -- "$word"))
    return
  fi
  case "\${COMP_WORDS[1]}" in
    completions) words='${shells}' ;;
${cases.filter((line) => !line.startsWith('    completions)')).join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$word"))
}
complete -o default -F _roomcast roomcast
`
}

/** For a folder of zsh's fpath, as _roomcast. */
export function zshScript(commands: Completed[]): string {
  const escaped = (text: string) => text.replace(/[[\]:\\]/g, '\\$&')
  const names = commands.map(({ name, summary }) => `    ${quoted(`${name}:${escaped(summary)}`)}`)
  const cases = commands.map(({ name, flags }) => {
    const specs = flags.map(({ flag, about, values, takesValue }) => {
      const value = values.length > 0 ? `:value:(${values.join(' ')})` : takesValue ? ':value:_default' : ''
      return quoted(`*${flag}[${escaped(about)}]${value}`)
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
    _describe 'command' names
    return
  fi
  local name=$words[2]
  shift words
  ((CURRENT--))
  case "$name" in
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
complete -c roomcast -n '__fish_seen_subcommand_from completions' -f -a '${shells}'
`
}

const fishQuoted = (text: string) => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`
