// Builds the client: dist/ for bundlers and Node, and the same as what a page loads by itself.
import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { basename } from 'node:path'
import { build } from 'esbuild'
import { minify } from 'terser'

/** What only the client's own files name; short in what is shipped, and never of the wire or of what is exported. */
const INTERNAL =
  /^(isTried|sinceMs|sendable|isEmpty|answered|owes|proven|moveAway|oldLink|leaveOld|isFixed|liveness|renewing|isOpen|onOpen|onEnvelope|onEnd|onState|onError|onJoined|onMessage|heal|onReset|onPresence|onMember|onRefused|onClosed|isHidden|forget|joining|refusal|onWake|prove|heard|link|welcome|stop|lost|answer|ask|expire|fail|alive|envelope|position|request|after)$/

const directory = new URL('dist/', import.meta.url)
rmSync(directory, { recursive: true, force: true })
const { outputFiles } = await build({
  absWorkingDir: new URL('.', import.meta.url).pathname,
  entryPoints: ['src/index.ts'],
  outdir: 'dist',
  bundle: true,
  // What only those need whose WebSockets are blocked is a file of its own.
  splitting: true,
  chunkNames: 'client-[name]',
  format: 'esm',
  target: 'es2022',
  minify: true,
  mangleProps: INTERNAL,
  write: false,
})
/** What is beside the core, which it takes from the core's own file: only by what that exports. */
const { outputFiles: besides } = await build({
  absWorkingDir: new URL('.', import.meta.url).pathname,
  entryPoints: ['src/tabs.ts', 'src/react.ts'],
  external: ['react'],
  outdir: 'dist',
  bundle: true,
  format: 'esm',
  target: 'es2022',
  minify: true,
  mangleProps: /^(opened|heard|ended|shared|admit|dismiss|isForbidden)$/,
  write: false,
  plugins: [
    {
      name: 'core',
      setup: ({ onResolve }) =>
        onResolve({ filter: /^\.\/(index|errors)\.ts$/ }, () => ({ path: './index.js', external: true })),
    },
  ],
})
mkdirSync(directory, { recursive: true })
// The server serves the same (routes/client.ts).
const served = new URL('../dist/client/', import.meta.url)
mkdirSync(served, { recursive: true })
for (const { path, text } of [...outputFiles, ...besides]) {
  const { code } = await minify(text, {
    module: true,
    compress: { ecma: 2022, passes: 3, unsafe_arrows: true },
    mangle: { toplevel: true },
  })
  writeFileSync(path, code)
  // With React there is a bundler.
  if (basename(path) === 'react.js') continue
  const name = basename(path).replace('index', 'client').replace('tabs', 'client-tabs')
  writeFileSync(new URL(name, served), code.replaceAll('./index.js', './client.js'))
}

// Of the declarations, what the exported ones need.
execFileSync('npx', ['tsc', '-p', 'tsconfig.build.json'], {
  cwd: new URL('.', import.meta.url),
  stdio: 'inherit',
})
const shipped = [
  'client/src/index.d.ts',
  'client/src/tabs.d.ts',
  'client/src/react.d.ts',
  'client/src/types.d.ts',
  'client/src/errors.d.ts',
  'src/protocol/codes.d.ts',
]
for (const folder of ['client/src', 'src/protocol'])
  for (const name of readdirSync(new URL(`types/${folder}`, directory)))
    if (!shipped.includes(`${folder}/${name}`)) rmSync(new URL(`types/${folder}/${name}`, directory))
