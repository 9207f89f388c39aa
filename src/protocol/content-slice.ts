/** What `sliceValue` found: the sender's own text of the value, or why there is none. */
export type Slice = { tooDeep: true } | { tooDeep: false; value: string | undefined }

const QUOTE = 34
const COMMA = 44
const BACKSLASH = 92
const OPEN_BRACKET = 91
const CLOSE_BRACKET = 93
const OPEN_BRACE = 123
const CLOSE_BRACE = 125

/**
 * Cuts the value of the top-level key `key` out of `text`, which JSON.parse has already taken as an object.
 * It agrees with JSON.parse: the last of repeated keys counts, and keys may be written with escapes.
 * Also measures the nesting of the whole text; more than `maxNesting` containers, the object itself included,
 * are `tooDeep`.
 */
export function sliceValue(text: string, key: string, maxNesting: number): Slice {
  let value: string | undefined
  let at = skipSpace(text, 0) + 1 // behind the opening brace
  for (;;) {
    at = skipSpace(text, at)
    const c = text.charCodeAt(at)
    if (c === CLOSE_BRACE) return { tooDeep: false, value }
    if (c === COMMA) {
      at++
      continue
    }
    const keyEnd = endOfString(text, at)
    const isWanted = keyIs(key, text, at, keyEnd)
    const valueStart = skipSpace(text, skipSpace(text, keyEnd) + 1) // behind the colon
    const valueEnd = endOfValue(text, valueStart, maxNesting - 1)
    if (valueEnd < 0) return { tooDeep: true }
    if (isWanted) value = text.slice(valueStart, valueEnd)
    at = valueEnd
  }
}

/**
 * The texts of the items of `text`, which JSON.parse has already taken as a list; undefined when one nests deeper than
 * `maxNesting`.
 */
export function sliceItems(text: string, maxNesting: number): string[] | undefined {
  const items: string[] = []
  let at = skipSpace(text, 0) + 1 // behind the opening bracket
  for (;;) {
    at = skipSpace(text, at)
    const c = text.charCodeAt(at)
    if (c === CLOSE_BRACKET) return items
    if (c === COMMA) {
      at++
      continue
    }
    const end = endOfValue(text, at, maxNesting)
    if (end < 0) return undefined
    items.push(text.slice(at, end))
    at = end
  }
}

function keyIs(key: string, text: string, start: number, end: number): boolean {
  const { length } = key
  if (end - start <= length + 2) return end - start === length + 2 && text.startsWith(key, start + 1)
  // A longer token can still spell it, with \u escapes of at most six characters each.
  return end - start <= 2 + length * 6 && JSON.parse(text.slice(start, end)) === key
}

function skipSpace(text: string, from: number): number {
  let at = from
  for (;;) {
    const c = text.charCodeAt(at)
    if (c !== 32 && c !== 10 && c !== 13 && c !== 9) return at
    at++
  }
}

/** `start` is at the opening quote; returns the index behind the closing one. */
function endOfString(text: string, start: number): number {
  let quote = text.indexOf('"', start + 1)
  for (;;) {
    let slashes = 0
    while (text.charCodeAt(quote - 1 - slashes) === BACKSLASH) slashes++
    if (slashes % 2 === 0) return quote + 1
    quote = text.indexOf('"', quote + 1)
  }
}

/** The index behind the value that starts at `start`, or -1 if it nests deeper than `maxNesting`. */
function endOfValue(text: string, start: number, maxNesting: number): number {
  const first = text.charCodeAt(start)
  if (first === QUOTE) return endOfString(text, start)
  if (first !== OPEN_BRACKET && first !== OPEN_BRACE) return endOfScalar(text, start)
  let depth = 0
  let at = start
  for (;;) {
    const c = text.charCodeAt(at)
    if (c === QUOTE) {
      at = endOfString(text, at)
      continue
    }
    at++
    if (c === OPEN_BRACKET || c === OPEN_BRACE) {
      if (++depth > maxNesting) return -1
    } else if ((c === CLOSE_BRACKET || c === CLOSE_BRACE) && --depth === 0) {
      return at
    }
  }
}

/** A number, true, false or null ends at the first character that none of them holds. */
function endOfScalar(text: string, start: number): number {
  let at = start
  for (;;) {
    const c = text.charCodeAt(at)
    if (c === COMMA || c === CLOSE_BRACE || c === CLOSE_BRACKET || c <= 32) return at
    at++
  }
}
