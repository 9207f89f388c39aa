import { type Child, element } from './element.ts'

export interface Column<Item> {
  label: string
  cell: (item: Item) => Child
  /** What it can be sorted by. */
  by?: (item: Item) => number | string
  /** `number`, to stand right; `name`, to be cut where it is long; `act`. */
  kind?: 'number' | 'name' | 'act'
}

/** A table that its head sorts; on a phone each row is a card. */
export class Table<Item> {
  readonly element: HTMLElement
  readonly #columns: Column<Item>[]
  readonly #nothing: string
  readonly #body = element('tbody', { role: 'rowgroup' })
  readonly #heads: HTMLTableCellElement[]
  #items: readonly Item[] = []
  #sorted: { at: number; isUp: boolean } | undefined

  constructor(name: string, columns: Column<Item>[], nothing: string) {
    this.#columns = columns
    this.#nothing = nothing
    this.#heads = columns.map((column, at) => this.#head(column, at))
    // What scrolls can be scrolled with the keyboard. Cards are no tables to a browser: the roles say that they are.
    this.element = element(
      'div',
      { className: 'scroll', tabIndex: 0, role: 'region', ariaLabel: name },
      element(
        'table',
        { role: 'table' },
        element('thead', { role: 'rowgroup' }, element('tr', { role: 'row' }, ...this.#heads)),
        this.#body,
      ),
    )
  }

  show(items: readonly Item[]): void {
    this.#items = items
    const rows = this.#inOrder().map((item) =>
      element(
        'tr',
        { role: 'row' },
        ...this.#columns.map(({ label, cell, kind }) => {
          const made = element('td', { role: 'cell', className: kind ?? '' }, cell(item))
          made.dataset.label = label
          return made
        }),
      ),
    )
    const nothing = () => {
      const cell = element(
        'td',
        { role: 'cell', className: 'nothing', colSpan: this.#columns.length },
        this.#nothing,
      )
      return element('tr', { role: 'row' }, cell)
    }
    this.#body.replaceChildren(...(rows.length > 0 ? rows : [nothing()]))
  }

  #head({ label, by, kind }: Column<Item>, at: number): HTMLTableCellElement {
    const head = element('th', { role: 'columnheader', className: kind ?? '' })
    if (by === undefined) head.append(label)
    else {
      const sort = () => {
        const isSame = this.#sorted?.at === at
        // Of figures the largest are looked for.
        this.#sorted = { at, isUp: isSame ? this.#sorted?.isUp === false : kind !== 'number' }
        for (const one of this.#heads) one.removeAttribute('aria-sort')
        head.ariaSort = this.#sorted.isUp ? 'ascending' : 'descending'
        this.show(this.#items)
      }
      head.append(element('button', { type: 'button', onclick: sort }, label))
    }
    return head
  }

  #inOrder(): readonly Item[] {
    const by = this.#columns[this.#sorted?.at ?? -1]?.by
    if (by === undefined) return this.#items
    const sign = this.#sorted?.isUp ? 1 : -1
    return [...this.#items].sort((one, other) => {
      const [a, b] = [by(one), by(other)]
      return a === b ? 0 : a < b ? -sign : sign
    })
  }
}
