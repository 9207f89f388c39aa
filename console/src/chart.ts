import { element } from './element.ts'
import { shown } from './figures.ts'

/** So many readings are shown, the newest last. */
const READINGS = 120
const SVG = 'http://www.w3.org/2000/svg'
const [WIDTH, HEIGHT] = [240, 64]

interface Point {
  atMs: number
  values: (number | undefined)[]
}

export interface ChartOptions {
  written?: (value: number) => string
  /** What a second, fainter line is called. */
  second?: string
}

/** A line over time with its newest value, and in words for who does not see it. */
export class Chart {
  readonly figure: HTMLElement
  readonly #points: Point[] = []
  readonly #now = element('output', {}, '–')
  readonly #more = element('span', { className: 'soft' }, '')
  readonly #drawing = drawn('svg', {
    viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
    preserveAspectRatio: 'none',
    role: 'img',
  })
  readonly #area = drawn('path', { class: 'area' })
  readonly #lines = [drawn('polyline', {}), drawn('polyline', { class: 'second' })]
  readonly #mark = drawn('line', { class: 'mark', x1: '-9', x2: '-9', y2: String(HEIGHT) })
  readonly #title: string
  readonly #written: (value: number) => string
  readonly #second: string | undefined
  /** The reading that the pointer is at. */
  #at: number | undefined

  constructor(title: string, { written = shown, second }: ChartOptions = {}) {
    this.#title = title
    this.#written = written
    this.#second = second
    this.#drawing.append(this.#area, ...this.#lines.toReversed(), this.#mark)
    this.#drawing.setAttribute('aria-label', title)
    this.#drawing.addEventListener('pointermove', (event) => {
      const { left, width } = this.#drawing.getBoundingClientRect()
      this.#at = Math.round(((event.clientX - left) / width) * (this.#points.length - 1))
      this.#say()
    })
    this.#drawing.addEventListener('pointerleave', () => {
      this.#at = undefined
      this.#say()
    })
    this.figure = element(
      'figure',
      { className: 'card' },
      element('figcaption', {}, title),
      element('p', {}, this.#now, this.#more),
      this.#drawing,
    )
  }

  add(...values: (number | undefined)[]): void {
    // Nothing to tell yet: the line begins with what there is.
    if (this.#points.length === 0 && values.every((value) => value === undefined)) return
    this.#points.push({ atMs: performance.now(), values })
    if (this.#points.length > READINGS) this.#points.shift()
    this.#draw()
    this.#say()
  }

  get #most(): number {
    return Math.max(0, ...this.#points.flatMap(({ values }) => values.map((value) => value ?? 0)))
  }

  #draw(): void {
    const top = Math.max(this.#most, 1) * 1.1
    for (const [line, drawing] of this.#lines.entries())
      drawing.setAttribute('points', this.#line(line, top).join(' '))
    const points = this.#line(0, top)
    const [first, last] = [points[0], points.at(-1)]
    const corners = `${last?.split(',')[0]},${HEIGHT} ${first?.split(',')[0]},${HEIGHT}`
    this.#area.setAttribute('d', points.length < 2 ? '' : `M${points.join(' ')} ${corners}Z`)
  }

  /** The first readings take all the room that there is. */
  #line(which: number, top: number): string[] {
    return this.#points.flatMap(({ values }, at) => {
      const value = values[which]
      if (value === undefined) return []
      return `${this.#x(at).toFixed(1)},${(HEIGHT - 1 - ((HEIGHT - 2) * value) / top).toFixed(1)}`
    })
  }

  #x(at: number): number {
    return (at * WIDTH) / Math.max(1, this.#points.length - 1)
  }

  /** The newest reading, or the one that the pointer is at. */
  #say(): void {
    const at = Math.min(Math.max(0, this.#at ?? this.#points.length - 1), this.#points.length - 1)
    const point = this.#points[at]
    if (point === undefined) return
    const write = (value: number | undefined) => (value === undefined ? '–' : this.#written(value))
    const [value, second] = point.values
    const isPast = this.#at !== undefined
    const x = isPast ? String(this.#x(at)) : '-9'
    this.#mark.setAttribute('x1', x)
    this.#mark.setAttribute('x2', x)
    this.#now.textContent = write(value)
    const most = this.#second === undefined ? `peak ${write(this.#most)}` : `${this.#second} ${write(second)}`
    const agoS = Math.round((performance.now() - point.atMs) / 1000)
    this.#more.textContent = isPast ? `${agoS} s ago` : value === undefined ? '' : most
    if (!isPast) this.#drawing.setAttribute('aria-label', `${this.#title}: ${write(value)} now, ${most}`)
  }
}

function drawn<Name extends keyof SVGElementTagNameMap>(
  name: Name,
  attributes: Record<string, string>,
): SVGElementTagNameMap[Name] {
  const made = document.createElementNS(SVG, name) as SVGElementTagNameMap[Name]
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value)
  return made
}
