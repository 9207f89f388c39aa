import { readFileSync } from 'node:fs'

/** The package's version. Its package.json is one step up from the sources and two from the built files. */
export const version: string = readVersion(['../package.json', '../../package.json'])

function readVersion(paths: string[]): string {
  for (const path of paths) {
    try {
      const { name, version } = JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8'))
      if (name === 'roomcast') return version
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
  }
  throw new Error('roomcast is installed without its package.json')
}
