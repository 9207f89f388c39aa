// npm run site: the documents as pages, in site/ or the folder that is given. Static: any server can serve them, also a file:// URL.
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, posix } from 'node:path'
import { Marked, type Tokens } from 'marked'
import { headingSlug } from './heading-slug.ts'

const into = process.argv[2] ?? 'site'

/** The pages in the order of their readers: build on it, run it, change it. */
const groups: [title: string, pages: string[]][] = [
  ['roomcast', ['README.md', 'docs/COMPARISON.md', 'CHANGELOG.md']],
  [
    'Build on it',
    [
      ...['docs/BUILD.md', 'docs/CLIENT.md', 'docs/BACKENDS.md', 'docs/HOOKS.md', 'docs/WEBHOOKS.md'],
      ...['docs/TOKENS.md', 'docs/WITHOUT-CLIENT.md', 'docs/PROTOCOL.md', 'docs/CONFORMANCE.md'],
      ...['examples/README.md', 'docs/FROM-SOCKET-IO.md'],
    ],
  ],
  [
    'Run it',
    [
      ...['docs/RUN.md', 'docs/SETTINGS.md', 'docs/OPERATIONS.md', 'docs/CLI.md', 'docs/CONSOLE.md'],
      ...['SECURITY.md', 'docs/BENCHMARKS.md'],
    ],
  ],
  ['Change it', ['CONTRIBUTING.md', 'docs/ARCHITECTURE.md']],
]
const pages = groups.flatMap(([, paths]) => paths)
const missing = readdirSync('docs').filter((name) => name.endsWith('.md') && !pages.includes(`docs/${name}`))
if (missing.length > 0) throw new Error(`no group has ${missing.join(', ')}`)

const titleOf = (path: string) =>
  /^# (.*)$/m.exec(readFileSync(path, 'utf8'))?.[1]?.replaceAll('`', '') ?? path
const target = (path: string) => (path === 'README.md' ? 'index.html' : path.replace(/\.md$/, '.html'))
/** A link of a document, as the page has it: to pages where there is one, and as it is to all else. */
function linkFrom(page: string, href: string): string {
  if (/^(https?:|#)/.test(href)) return href
  const [path = '', anchor] = href.split('#')
  const led = posix.join(dirname(page), path)
  const file = led === 'examples' || led === 'examples/' ? 'examples/README.md' : led
  const to = pages.includes(file) ? target(file) : file
  const relative = posix.relative(dirname(target(page)), to)
  return anchor === undefined ? relative : `${relative}#${anchor}`
}

function render(page: string): string {
  const marked = new Marked({
    walkTokens: (token) => {
      if (token.type === 'link' || token.type === 'image') token.href = linkFrom(page, token.href)
    },
    renderer: {
      heading({ tokens, depth, text }: Tokens.Heading) {
        const name = headingSlug(text)
        return `<h${depth} id="${name}">${this.parser.parseInline(tokens)}</h${depth}>\n`
      },
    },
  })
  return marked.parse(readFileSync(page, 'utf8'), { async: false })
}

const STYLE = `:root{color-scheme:light dark}body{font:16px/1.6 system-ui;margin:0 auto;max-width:78rem;padding:1rem;display:grid;grid-template-columns:minmax(10rem,14rem) minmax(0,1fr);gap:2rem}
nav h2{font-size:.9rem;margin:1rem 0 .2rem}nav a{display:block;padding:.1rem 0}pre,table{overflow:auto;display:block}pre{padding:.75rem;border:1px solid #8885;border-radius:6px}
td,th{border:1px solid #8885;padding:.3rem .6rem;text-align:left}table{border-collapse:collapse}img{max-width:100%}a[aria-current]{font-weight:700}@media(max-width:50rem){body{display:block}}`

rmSync(into, { recursive: true, force: true })
for (const page of pages) {
  const nav = groups
    .map(([title, paths]) => {
      const links = paths.map((path) => {
        const current = path === page ? ' aria-current="page"' : ''
        return `<a href="${linkFrom(page, posix.relative(dirname(page), path))}"${current}>${titleOf(path)}</a>`
      })
      return `<h2>${title}</h2>${links.join('')}`
    })
    .join('')
  const file = join(into, target(page))
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(
    file,
    `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${titleOf(page)}</title><style>${STYLE}</style><nav aria-label="Pages">${nav}</nav><main>${render(page)}</main></html>\n`,
  )
}
// What pages link to besides pages.
for (const path of [
  ...['docs/pictures', 'docs/benchmarks', 'docs/openapi.json', 'docs/asyncapi.json', 'examples', 'deploy'],
  ...['LICENSE', 'Dockerfile', 'docker-compose.yml'],
])
  cpSync(path, join(into, path), {
    recursive: true,
    filter: (name) => !/node_modules|README\.md$/.test(name),
  })
console.log(`${pages.length} pages in ${into}/`)
