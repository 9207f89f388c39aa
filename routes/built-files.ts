import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import type { FastifyInstance } from 'fastify'
import { undocumented } from './undocumented.ts'

/** Where a build puts a folder: beside the built routes, or from the sources. */
const places = ['../', '../dist/']

export interface BuiltFile {
  /** Beside the others in dist/. */
  folder: string
  name: string
  /** Where it is served. */
  url: string
  type: string
  headers?: Record<string, string>
}

/** Serves a file that `npm run build` has made. Rejects where it is not there. */
export async function serveBuilt(app: FastifyInstance, file: BuiltFile): Promise<void> {
  const code = await built(`${file.folder}/${file.name}`)
  const etag = `"${createHash('sha256').update(code).digest('base64url').slice(0, 16)}"`
  const headers = {
    'content-type': `${file.type}; charset=utf-8`,
    // A page asks again, and is told that nothing is new.
    ...{ 'cache-control': 'no-cache', etag },
    ...file.headers,
  }
  app.get(file.url, { schema: undocumented }, ({ headers: { 'if-none-match': known } }, reply) =>
    known === etag ? reply.code(304).headers(headers).send() : reply.headers(headers).send(code),
  )
}

async function built(path: string): Promise<Buffer> {
  for (const place of places) {
    try {
      return await readFile(new URL(place + path, import.meta.url))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
  }
  throw new Error(`${path} is not built: npm run build`)
}
