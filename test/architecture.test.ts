// The arrows of DESIGN.md: an import leads to its own layer or to a lower one, never up.
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import t from 'tap'
import ts from 'typescript'

/** From the top down. The first prefix that fits a file names its layer. */
const layers: [name: string, ...prefixes: string[]][] = [
  ['cli', 'cli/'],
  ['conformance', 'conformance/'],
  [
    'server',
    'src/server.ts',
    'src/start.ts',
    'src/dev-token.ts',
    'src/service.ts',
    'src/workers.ts',
    'src/log-stream.ts',
    'src/worker-metrics.ts',
    'src/worker-figures.ts',
    'src/refusal-log.ts',
    'src/unreadable-request.ts',
    'src/descriptor-guard.ts',
    'src/cannot-start.ts',
  ],
  ['app', 'src/app.ts'],
  ['routes', 'routes/'],
  ['plugins', 'plugins/'],
  // Beside the ports: what knows nothing but words, and what the settings are checked with.
  [
    'ports',
    'src/bridge/bridge.ts',
    'src/presence/presence.ts',
    'src/hooks/hooks.ts',
    'src/hooks/signature.ts',
    'src/webhooks/events.ts',
    'src/auth/permissions.ts',
    'src/rules/',
    'src/auth/revocations.ts',
    'src/auth/tokens.ts',
    'src/bridge/redis-url.ts',
  ],
  [
    'adapters',
    'src/bridge/',
    'src/presence/',
    'src/hooks/',
    'src/webhooks/',
    'src/auth/',
    'src/metrics/',
    'src/tracing/',
  ],
  ['config', 'src/config.ts', 'src/settings.ts', 'src/setting-kinds.ts'],
  ['hub', 'src/hub/'],
  ['protocol', 'src/protocol/'],
  [
    'leaves',
    'src/version.ts',
    'src/clock.ts',
    'src/distribution.ts',
    'src/log.ts',
    'src/bounded-map.ts',
    'src/request-head.ts',
    'src/address.ts',
    'src/logged-text.ts',
    'src/descriptors.ts',
    'src/seldom.ts',
    'src/turn-queue.ts',
    'src/while-open.ts',
  ],
]
const order = [
  'cli',
  'conformance',
  'server',
  'app',
  'routes',
  'plugins',
  'adapters',
  'config',
  'hub',
  'ports',
  'protocol',
  'leaves',
]
const MAX_LINES = 300

interface Source {
  path: string
  text: string
  layer: string
  /** What it imports: packages by name, own files by path. */
  imports: string[]
}

function layerOf(path: string): string | undefined {
  return layers.find(([, ...prefixes]) => prefixes.some((prefix) => path.startsWith(prefix)))?.[0]
}

function sourcesIn(...folders: string[]): Source[] {
  return folders
    .flatMap((folder) =>
      readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((name) => `${folder}/${name}`),
    )
    .filter((path) => path.endsWith('.ts'))
    .sort()
    .map((path): Source => {
      const text = readFileSync(path, 'utf8')
      const imports = ts
        .preProcessFile(text)
        .importedFiles.map(({ fileName }) =>
          fileName.startsWith('.') ? normalize(join(dirname(path), fileName)) : fileName,
        )
      return { path, text, layer: layerOf(path) ?? '', imports }
    })
}

const sources = sourcesIn('src', 'plugins', 'routes', 'conformance', 'cli')
/** What runs in a page. */
const pages = sourcesIn('client/src', 'console/src')

const own = (imported: string) => /^(src|plugins|routes|conformance|cli)\//.test(imported)
const within = (...prefixes: string[]) =>
  sources.filter(({ path }) => prefixes.some((prefix) => path.startsWith(prefix)))

t.test('every source file is of one layer', async (t) => {
  t.ok(sources.length > 20, 'the sources are found')
  t.strictSame(
    sources.filter(({ layer }) => layer === '').map(({ path }) => path),
    [],
  )
})

t.test('imports lead down the layers', async (t) => {
  const wrong = sources.flatMap(({ path, layer, imports }) =>
    imports
      .filter(own)
      .filter((imported) => order.indexOf(layerOf(imported) ?? '') < order.indexOf(layer))
      .map((imported) => `${path} (${layer}) imports ${imported} (${layerOf(imported)})`),
  )
  t.strictSame(wrong, [])
})

t.test('the core knows no Fastify, no WebSocket library and no Redis', async (t) => {
  const core = within('src/hub/', 'src/protocol/', 'src/bridge/memory-bridge')
  const foreign = core.flatMap(({ path, imports }) =>
    imports
      .filter((imported) => /^(fastify|@fastify\/|fastify-plugin|ws|ioredis|pino)/.test(imported))
      .map((imported) => `${path} imports ${imported}`),
  )
  t.ok(core.length > 10, 'the core is found')
  t.strictSame(foreign, [])
})

t.test('the protocol needs zod and nothing else, so that clients can share it', async (t) => {
  const foreign = within('src/protocol/').flatMap(({ imports }) =>
    imports.filter((imported) => imported !== 'zod' && !imported.startsWith('src/protocol/')),
  )
  t.strictSame(foreign, [])
})

t.test('the conformance suite knows nothing of the server that it checks', async (t) => {
  const suite = within('conformance/')
  const foreign = suite.flatMap(({ imports }) =>
    imports.filter((imported) => own(imported) && !imported.startsWith('conformance/')),
  )
  t.ok(suite.length > 20, 'the suite is found')
  t.strictSame(foreign, [])
})

t.test('the environment is read in src/config.ts only', async (t) => {
  const readers = sources.filter(({ text }) => /\bprocess\s*\.\s*env\b/.test(text)).map(({ path }) => path)
  t.strictSame(readers, ['src/config.ts'])
})

/** What a page may take the values of beside its neighbours. */
const ofPages: Record<string, string> = {
  'client/src/react.ts': 'react',
  'console/src/talk.ts': '../../client/src/index.ts',
}

t.test('a page takes nothing of the server but types, which cost it nothing', async (t) => {
  const valuesOf = (text: string) =>
    [...text.matchAll(/^(?:import|export) (?!type\b)[^'"]*?from '([^']+)'/gm)].map(([, from]) => from ?? '')
  const foreign = pages.flatMap(({ path, text }) =>
    valuesOf(text)
      .filter((from) => !from.startsWith('./') && ofPages[path] !== from)
      .map((from) => `${path} imports ${from}`),
  )
  t.ok(pages.length > 25, 'the pages are found')
  t.strictSame(foreign, [])
})

/** A class parted in two pays in bytes for each name that the two share, and the client's bound has none left. */
const WHOLE = ['client/src/connection.ts', 'client/src/hub-client.ts']

t.test(`no source file has more than ${MAX_LINES} lines`, async (t) => {
  const long = [...sources, ...pages]
    .filter(({ path }) => !WHOLE.includes(path))
    .map(({ path, text }) => ({ path, lines: text.split('\n').length - 1 }))
    .filter(({ lines }) => lines > MAX_LINES)
  t.strictSame(long, [])
})
