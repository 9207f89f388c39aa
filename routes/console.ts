import type { FastifyInstance } from 'fastify'
import { serveBuilt } from './built-files.ts'

/** Nothing but its own files, and its own server to talk to; in nobody's frame. */
const headers = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
}

/** `GET /console`: a page to watch and try the hub. It is public; what it shows, the API gives to whoever has a key. */
export async function consoleRoutes(app: FastifyInstance): Promise<void> {
  for (const [name, url, type] of [
    ['index.html', '/console', 'text/html'],
    ['console.js', '/console/console.js', 'text/javascript'],
    ['console.css', '/console/console.css', 'text/css'],
  ] as const)
    await serveBuilt(app, { ...{ folder: 'console', name, url, type }, headers })
}
