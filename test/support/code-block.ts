// The code blocks of a document, so that tests run what readers are told to run.
import { readFileSync } from 'node:fs'

/** The one code block of this page and language that contains `text`. */
export function codeBlock(page: string, language: string, text: string): string {
  const blocks = [...readFileSync(page, 'utf8').matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)]
  const found = blocks.filter(([, tag, code]) => tag === language && code?.includes(text))
  if (found.length !== 1) {
    throw new Error(`${page} has ${found.length} blocks of ${language || 'no language'} with "${text}"`)
  }
  return found[0]?.[2] ?? ''
}
