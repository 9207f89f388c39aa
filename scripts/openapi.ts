// Writes docs/openapi.json from the schemas in src/protocol/api.ts: `npm run openapi`.
import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { openApi } from '../src/protocol/openapi.ts'
import { version } from '../src/version.ts'

/** Where the generated document lies. */
export const OPENAPI = new URL('../docs/openapi.json', import.meta.url)

/** The whole document. */
export function openApiText(): string {
  return `${JSON.stringify(openApi(version), undefined, 2)}\n`
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(OPENAPI, openApiText())
