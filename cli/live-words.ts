import type { LiveHub, LiveMessage, LiveState } from './live-hub.ts'
import { type Colour, coloured, plain } from './terminal.ts'

const colours: Colour[] = ['cyan', 'magenta', 'yellow', 'blue', 'green']

/** A message as a line: when, who, what. */
export function messageLine({ content, from, at }: LiveMessage): string {
  const time = coloured('grey', new Date(at).toTimeString().slice(0, 8))
  const text = typeof content === 'string' ? content : JSON.stringify(content)
  return `${time} ${coloured(colourOf(from.user), plain(from.user))}: ${plain(text)}`
}

/** The same user has the same colour each time. */
function colourOf(user: string): Colour {
  let sum = 0
  for (const letter of user) sum += letter.codePointAt(0) ?? 0
  return colours[sum % colours.length] ?? 'cyan'
}

/** What a state is called; undefined for what nobody needs to know. */
export function stateLine(state: LiveState): string | undefined {
  if (state.name === 'open') return `connected as ${plain(state.user)}`
  if (state.name === 'waiting') {
    const seconds = Math.ceil(state.retryInMs / 1000)
    return `not connected (${why(state.why)}); trying again in ${seconds} s`
  }
  return state.name === 'closed' ? `ended: ${why(state.why)}` : undefined
}

/** In the client's words, or in plainer ones where those say little in a terminal. */
function why(text: string): string {
  if (text === 'ended with 1006') return 'nothing answers there, or the connection was cut'
  if (text === 'ended with 401' || text === 'refused')
    return `${text === 'refused' ? text : 'the token is refused'}; roomcast doctor and roomcast verify say why`
  return plain(text)
}

/** Resolves when the hub has ended, by a signal or by itself; with the exit code. */
export function ended(hub: LiveHub): Promise<number> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
      process.once(signal, () => {
        resolve(0)
        hub.close()
      })
    hub.on('state', ({ name }) => name === 'closed' && resolve(1))
  })
}
