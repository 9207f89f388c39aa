type Child = Node | string | number

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

export function row(...cells: Child[]): HTMLTableRowElement {
  return element('tr', {}, ...cells.map((cell) => element('td', {}, cell)))
}

/** Calls `then` with the form's fields; what goes wrong is shown. */
export function onSubmit(id: string, then: (fields: Record<string, string>) => Promise<void>): void {
  byId<HTMLFormElement>(id).addEventListener('submit', (event) => {
    event.preventDefault()
    const fields = Object.fromEntries(new FormData(event.target as HTMLFormElement)) as Record<string, string>
    then(fields).catch(tell)
  })
}

/** A button that does something; what goes wrong is shown. */
export function action(label: string, then: () => Promise<void> | void): HTMLButtonElement {
  const run = async () => then()
  return element('button', { type: 'button', textContent: label, onclick: () => void run().catch(tell) })
}

/** Shows a line for people, read out by screen readers. */
export function tell(what: unknown): void {
  byId('status').textContent = what instanceof Error ? what.message : String(what)
}
