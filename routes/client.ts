import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import type { FastifyInstance } from 'fastify'
import { undocumented } from './undocumented.ts'

/** Where the build puts it: beside the built routes, or from the sources. */
const folders = ['../client/', '../dist/client/']
/** The second is what the first loads where WebSockets are blocked; the third loads the first. */
const files = ['client.js', 'client-fallback.js', 'client-tabs.js']

/** `GET /client.js` and `/client-tabs.js`: roomcast-client, for `<script type="module">`. */
export async function clientRoutes(app: FastifyInstance): Promise<void> {
  for (const name of files) {
    const code = await built(name)
    const etag = `"${createHash('sha256').update(code).digest('base64url').slice(0, 16)}"`
    const headers = {
      'content-type': 'text/javascript; charset=utf-8',
      // A page asks again, and is told that nothing is new.
      ...{ 'cache-control': 'no-cache', etag },
      'access-control-allow-origin': '*',
    }
    app.get(`/${name}`, { schema: undocumented }, ({ headers: { 'if-none-match': known } }, reply) =>
      known === etag ? reply.code(304).headers(headers).send() : reply.headers(headers).send(code),
    )
  }
}

async function built(name: string): Promise<Buffer> {
  for (const folder of folders) {
    try {
      return await readFile(new URL(folder + name, import.meta.url))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
  }
  throw new Error(`${name} is not built: npm run build`)
}
