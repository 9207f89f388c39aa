// The code blocks of README.md, so that tests run what readers are told to run.
import { readFileSync } from 'node:fs'

/** The one code block of this language that contains `text`. */
export function readmeBlock(language: string, text: string): string {
  const blocks = [...readFileSync('README.md', 'utf8').matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)]
  const found = blocks.filter(([, tag, code]) => tag === language && code?.includes(text))
  if (found.length !== 1) {
    throw new Error(`README.md has ${found.length} blocks of ${language || 'no language'} with "${text}"`)
  }
  return found[0]?.[2] ?? ''
}
