// How figures are written for people.

export function shown(value: number): string {
  return value.toLocaleString('en', { maximumFractionDigits: value < 10 ? 1 : 0 })
}

/** How many there are, in words. */
export function counted(count: number, one: string, several = `${one}s`): string {
  return `${shown(count)} ${count === 1 ? one : several}`
}

export function bytes(value: number): string {
  if (value < 1024) return `${shown(value)} B`
  // What is nearly a MiB is one to people.
  if (value < 1000 * 1024) return `${shown(value / 1024)} KiB`
  return value < 1000 * 1024 ** 2 ? `${shown(value / 1024 ** 2)} MiB` : `${shown(value / 1024 ** 3)} GiB`
}

export function milliseconds(value: number | undefined): string {
  return value === undefined ? '–' : `${shown(value)} ms`
}

const SPANS = [
  [86_400_000, 'd'],
  [3_600_000, 'h'],
  [60_000, 'min'],
  [1000, 's'],
] as const

/** A length of time by its largest unit. */
export function span(ms: number): string {
  const [unitMs, unit] = SPANS.find(([one]) => ms >= one) ?? [1000, 's']
  return `${shown(Math.floor(ms / unitMs))} ${unit}`
}
