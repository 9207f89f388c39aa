// Writes docs/openapi.json and docs/asyncapi.json from the schemas in src/protocol: `npm run specs`.
import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { asyncApi } from '../src/protocol/asyncapi.ts'
import { openApi } from '../src/protocol/openapi.ts'
import { version } from '../src/version.ts'

/** The generated documents, by path. */
export const specs: Readonly<Record<string, object>> = {
  'docs/openapi.json': openApi(version),
  'docs/asyncapi.json': asyncApi(version),
}

/** As it is committed. */
export function specText(spec: object): string {
  return `${JSON.stringify(spec, undefined, 2)}\n`
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  for (const [path, spec] of Object.entries(specs))
    writeFileSync(new URL(`../${path}`, import.meta.url), specText(spec))
