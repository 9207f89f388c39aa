// How figures are written: three digits that count, and the spread beside the median.
import type { Spread } from './results.ts'

export function digits(value: number): string {
  if (value >= 100) return Math.round(value).toLocaleString('en-US')
  if (value >= 10) return value.toFixed(1)
  return value.toFixed(value >= 1 ? 2 : 3)
}

export function withSpread(value: Spread | undefined): string {
  if (value === undefined) return '–'
  const { median, min, max } = value
  return min === max ? digits(median) : `${digits(median)} (${digits(min)}–${digits(max)})`
}

export function medianOf(value: Spread | undefined): string {
  return value === undefined ? '–' : digits(value.median)
}
