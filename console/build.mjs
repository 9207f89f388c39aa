// Builds the page: dist/console/, which routes/console.ts serves.
import { copyFileSync, mkdirSync } from 'node:fs'
import { build } from 'esbuild'

const here = new URL('.', import.meta.url)
const into = new URL('../dist/console/', here)
mkdirSync(into, { recursive: true })
await build({
  absWorkingDir: here.pathname,
  entryPoints: ['src/main.ts'],
  outfile: new URL('console.js', into).pathname,
  bundle: true,
  format: 'esm',
  target: 'es2022',
  minify: true,
})
await build({
  absWorkingDir: here.pathname,
  entryPoints: ['styles/console.css'],
  outfile: new URL('console.css', into).pathname,
  bundle: true,
  minify: true,
})
copyFileSync(new URL('index.html', here), new URL('index.html', into))
