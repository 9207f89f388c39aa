import { element } from './element.ts'

/** So many readings are shown, the newest last. */
const READINGS = 120
const SVG = 'http://www.w3.org/2000/svg'

/** A line over time with its newest value, and in words for who does not see it. */
export class Chart {
  readonly figure: HTMLElement
  readonly #values: number[] = []
  readonly #line = document.createElementNS(SVG, 'polyline')
  readonly #now = element('output', {}, '–')
  readonly #drawing: SVGElement
  readonly #title: string

  constructor(title: string) {
    this.#title = title
    this.#drawing = document.createElementNS(SVG, 'svg')
    this.#drawing.setAttribute('viewBox', `0 0 ${READINGS - 1} 100`)
    this.#drawing.setAttribute('preserveAspectRatio', 'none')
    this.#drawing.setAttribute('role', 'img')
    this.#drawing.setAttribute('aria-label', title)
    this.#drawing.append(this.#line)
    this.figure = element(
      'figure',
      {},
      element('figcaption', {}, title),
      this.#now,
      this.#drawing as unknown as Node,
    )
  }

  add(value: number): void {
    this.#values.push(value)
    if (this.#values.length > READINGS) this.#values.shift()
    this.#now.textContent = shown(value)
    const most = Math.max(...this.#values, 1)
    // The first readings take all the room that there is.
    const step = (READINGS - 1) / Math.max(1, this.#values.length - 1)
    this.#line.setAttribute(
      'points',
      this.#values.map((one, at) => `${at * step},${98 - (96 * one) / most}`).join(' '),
    )
    this.#drawing.setAttribute(
      'aria-label',
      `${this.#title}: ${shown(value)} now, ${shown(Math.max(...this.#values))} at most`,
    )
  }
}

export function shown(value: number): string {
  return value.toLocaleString('en', { maximumFractionDigits: value < 10 ? 1 : 0 })
}
