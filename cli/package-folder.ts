import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** Where the package is: one step up from the sources and two from the built files. */
export const packageFolder: string = find()

function find(): string {
  for (const path of ['../', '../../']) {
    const folder = new URL(path, import.meta.url)
    if (existsSync(new URL('package.json', folder))) return fileURLToPath(folder)
  }
  throw new Error('roomcast is installed without its package.json')
}
