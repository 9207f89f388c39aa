// Builds the page: dist/console/, which routes/console.ts serves.
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { build, transform } from 'esbuild'

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
const { code } = await transform(readFileSync(new URL('console.css', here), 'utf8'), {
  loader: 'css',
  minify: true,
})
writeFileSync(new URL('console.css', into), code)
copyFileSync(new URL('index.html', here), new URL('index.html', into))
