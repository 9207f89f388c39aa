import { hasKey } from './api.ts'
import { byId, tell } from './element.ts'

/** Opens a view, with a name behind its own where the address has one. */
export type Opener = (name: string | undefined) => Promise<void> | void
type Openers = Record<string, Opener>

let openers: Openers = {}

/** One view at a time, by the address's fragment: `#rooms`, `#rooms/lobby`. */
export function offerViews(given: Openers): void {
  openers = given
  addEventListener('hashchange', () => {
    openHere()
    byId(`${here().view}-title`).focus()
  })
  openHere()
}

/** Shows the view that the address names, anew. */
export function openHere(): void {
  const { view, name } = here()
  // Talk needs a token, and no key.
  const isOpen = hasKey() || view === 'talk'
  byId('login-card').hidden = isOpen
  byId('forget').hidden = !hasKey()
  for (const one of Object.keys(openers)) byId(`view-${one}`).hidden = one !== view || !isOpen
  for (const link of document.querySelectorAll<HTMLAnchorElement>('nav a'))
    link.ariaCurrent = link.hash === `#${view}` ? 'page' : null
  document.title = `${name ?? view} · roomcast console`
  const run = async () => openers[view]?.(name)
  if (isOpen) run().catch(tell)
}

export function here(): { view: string; name: string | undefined } {
  const [view = '', ...rest] = location.hash.slice(1).split('/')
  if (!Object.hasOwn(openers, view)) return { view: Object.keys(openers)[0] ?? '', name: undefined }
  return { view, name: rest.length > 0 ? decoded(rest.join('/')) : undefined }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

export function addressOf(view: string, name: string): string {
  return `#${view}/${encodeURIComponent(name)}`
}
