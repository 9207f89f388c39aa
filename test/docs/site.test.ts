// The documents as pages (npm run site): no link leads nowhere.
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'

t.test('the site has every document, and no dead link', async (t) => {
  const site = join(t.testdir({}), 'site')
  const said = execFileSync(process.execPath, ['--import=tsx', 'scripts/site.ts', site], { encoding: 'utf8' })
  t.match(said, /\d+ pages/)
  const pages = readdirSync(site, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.html'))
    .map((name) => join(site, name))
    // Not those of the examples, which are only beside it.
    .filter((page) => readFileSync(page, 'utf8').includes('<nav aria-label="Pages">'))
  t.ok(pages.length > 15)
  const text = new Map(pages.map((page) => [page, readFileSync(page, 'utf8')]))
  const dead = pages.flatMap((page) =>
    [...(text.get(page) ?? '').matchAll(/ (?:href|src)="([^"]+)"/g)]
      .map(([, link = '']) => link.replaceAll('&amp;', '&'))
      .filter((link) => !/^https?:/.test(link))
      .filter((link) => {
        const [path = '', anchor] = link.split('#')
        const led = path === '' ? page : join(dirname(page), decodeURIComponent(path))
        if (!existsSync(led)) return true
        return anchor !== undefined && !text.get(led)?.includes(` id="${anchor}"`)
      })
      .map((link) => `${page.slice(site.length)}: ${link}`),
  )
  t.strictSame(dead, [])
})
