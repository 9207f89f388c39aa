import { digits } from './numbers.ts'
import type { Spread } from './results.ts'

export interface Bar {
  label: string
  value: Spread
  isOurs: boolean
}

const WIDTH = 720
const LABEL = 200
const ROOM_FOR_VALUE = 150
const ROW = 30
const TOP = 52

const escaped = (text: string) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')

/** Horizontal bars from zero: the median, with a line from the least to the most of the rounds. */
export function chart(title: string, subtitle: string, bars: Bar[]): string {
  const height = TOP + bars.length * ROW + 10
  const most = Math.max(...bars.map(({ value }) => value.max), Number.MIN_VALUE)
  const scale = (WIDTH - LABEL - ROOM_FOR_VALUE) / most
  const style =
    'text{font-family:system-ui,sans-serif;font-size:13px;fill:#1f2328}.title{font-size:15px;font-weight:600}.note{fill:#59636e}'
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${escaped(title)}">
<style>${style}</style>
<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>
<text class="title" x="10" y="20">${escaped(title)}</text>
<text class="note" x="10" y="38">${escaped(subtitle)}</text>
${bars.map((bar, index) => row(bar, TOP + index * ROW, scale)).join('\n')}
</svg>
`
}

function row({ label, value, isOurs }: Bar, y: number, scale: number): string {
  const at = (figure: number) => (LABEL + figure * scale).toFixed(1)
  const middle = y + ROW / 2 - 3
  const parts = [
    `<text x="${LABEL - 8}" y="${middle + 5}" text-anchor="end">${escaped(label)}</text>`,
    `<rect x="${LABEL}" y="${y}" width="${Math.max(1, value.median * scale).toFixed(1)}" height="${ROW - 8}" fill="${isOurs ? '#0969da' : '#8c959f'}"/>`,
    `<line x1="${at(value.min)}" x2="${at(value.max)}" y1="${middle}" y2="${middle}" stroke="#1f2328"/>`,
    `<text x="${(LABEL + value.max * scale + 8).toFixed(1)}" y="${middle + 5}">${digits(value.median)}</text>`,
  ]
  return parts.join('')
}
