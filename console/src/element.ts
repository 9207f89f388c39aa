export type Child = Node | string | number

/** An element with properties and children: text is text, whoever said it. */
export function element<Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  properties: Partial<HTMLElementTagNameMap[Name]> = {},
  ...children: Child[]
): HTMLElementTagNameMap[Name] {
  const made = Object.assign(document.createElement(name), properties)
  made.append(...children.map((child) => (typeof child === 'number' ? String(child) : child)))
  return made
}

/** An element of the page. */
export function byId<Type extends HTMLElement = HTMLElement>(id: string): Type {
  const found = document.getElementById(id)
  if (found === null) throw new Error(`no element ${id}`)
  return found as Type
}

export function link(text: string, hash: string, className = ''): HTMLAnchorElement {
  return element('a', { href: hash, className, title: text }, text)
}

/** Names and what they stand for. */
export function facts(...pairs: [name: string, value: Child][]): HTMLElement {
  return element(
    'dl',
    {},
    ...pairs.map(([name, value]) => element('div', {}, element('dt', {}, name), element('dd', {}, value))),
  )
}

export type Fields = Record<string, string>

export function fieldsOf(form: HTMLFormElement): Fields {
  return Object.fromEntries(new FormData(form)) as Fields
}

/** Calls `then` with the form's fields; what goes wrong is shown. */
export function onSubmit(id: string, then: (fields: Fields) => Promise<void>): void {
  byId<HTMLFormElement>(id).addEventListener('submit', (event) => {
    event.preventDefault()
    then(fieldsOf(event.target as HTMLFormElement)).catch(tell)
  })
}

/** The same, and when somebody has typed and waits. */
export function onSearch(id: string, then: (fields: Fields) => Promise<void>): void {
  let timer: ReturnType<typeof setTimeout> | undefined
  onSubmit(id, (fields) => {
    clearTimeout(timer)
    return then(fields)
  })
  byId<HTMLFormElement>(id).addEventListener('input', ({ currentTarget }) => {
    clearTimeout(timer)
    const form = currentTarget as HTMLFormElement
    timer = setTimeout(() => then(fieldsOf(form)).catch(tell), 300)
  })
}

/** A button that does something, once at a time; what goes wrong is shown. */
export function action(label: string, then: () => Promise<void> | void, className = ''): HTMLButtonElement {
  const button = element('button', { type: 'button', textContent: label, className })
  button.onclick = async () => {
    // Not `disabled`, which would take the focus away.
    if (button.ariaBusy === 'true') return
    button.ariaBusy = 'true'
    try {
      await then()
    } catch (error) {
      tell(error)
    } finally {
      button.ariaBusy = 'false'
    }
  }
  return button
}

const SAID_MS = 8000
let saidTimer: ReturnType<typeof setTimeout> | undefined

/** Shows a line for people for a while, read out by screen readers. */
export function tell(what: unknown): void {
  byId('said').textContent = what instanceof Error ? what.message : String(what)
  clearTimeout(saidTimer)
  saidTimer = setTimeout(() => byId('said').replaceChildren(), SAID_MS)
}

/** Asks before something that cannot be taken back. */
export function isSure(what: string, verb: string): Promise<boolean> {
  const dialog = byId<HTMLDialogElement>('sure')
  byId('sure-what').textContent = what
  byId('sure-yes').textContent = verb
  return new Promise((resolve) => {
    byId('sure-yes').onclick = () => dialog.close('yes')
    byId('sure-no').onclick = () => dialog.close('no')
    dialog.returnValue = 'no'
    dialog.onclose = () => resolve(dialog.returnValue === 'yes')
    dialog.showModal()
  })
}
