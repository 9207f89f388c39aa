import type { FastifyInstance } from 'fastify'
import type { Config } from '../../src/config.ts'
import { type Operation, openApi, operations } from '../../src/protocol/openapi.ts'
import { version } from '../../src/version.ts'

/** `GET /openapi.json`, and where it is wanted `GET /docs`, a page to read it. Neither needs a key. */
export async function openApiRoutes(app: FastifyInstance, { apiDocs }: Config): Promise<void> {
  let text: string | undefined
  app.get('/openapi.json', (_request, reply) => {
    text ??= JSON.stringify(openApi(version))
    return reply.type('application/json').send(text)
  })
  if (apiDocs !== true) return
  app.get('/docs', (_request, reply) =>
    reply
      .headers({
        'content-type': 'text/html; charset=utf-8',
        'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'",
      })
      .send(page()),
  )
}

function page(): string {
  const { paths } = openApi(version) as { paths: Record<string, Record<string, object>> }
  const entries = operations.map(({ method, path, summary }: Operation) => {
    const { parameters, requestBody, responses }: Record<string, object> = (paths[path]?.[method] ??
      {}) as Record<string, object>
    const details = escaped(JSON.stringify({ parameters, requestBody, responses }, undefined, 2))
    return `<details><summary><b>${method.toUpperCase()}</b> <code>/api/v1${path}</code> ${escaped(summary)}</summary><pre>${details}</pre></details>`
  })
  return `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>roomcast: HTTP API</title>
<style>:root{color-scheme:light dark}body{font:16px/1.5 system-ui;max-width:60rem;margin:2rem auto;padding:0 1rem}summary{cursor:pointer;padding:.4rem 0}pre{overflow:auto}</style>
<h1>roomcast: HTTP API</h1>
<p>Send the secret of an API key, or a token, as <code>Authorization: Bearer …</code>. The same for programs: <a href="openapi.json">openapi.json</a>.</p>
${entries.join('\n')}</html>`
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
}
