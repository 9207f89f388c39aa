import type { FastifyInstance } from 'fastify'
import { serveBuilt } from './built-files.ts'

/** The second is what the first loads where WebSockets are blocked; the third loads the first. */
const files = ['client.js', 'client-fallback.js', 'client-tabs.js']

/** `GET /client.js` and `/client-tabs.js`: roomcast-client, for `<script type="module">`. */
export async function clientRoutes(app: FastifyInstance): Promise<void> {
  const headers = { 'access-control-allow-origin': '*' }
  for (const name of files)
    await serveBuilt(app, {
      ...{ folder: 'client', name, url: `/${name}`, type: 'text/javascript' },
      headers,
    })
}
