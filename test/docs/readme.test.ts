// What the README tells its readers to run, run; and its figures are those that were measured.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import t from 'tap'
import { openBrowser } from '../support/browser.ts'
import { codeBlock } from '../support/code-block.ts'
import { firstStart } from '../support/first-start.ts'
import { freePort } from '../support/free-port.ts'
import { startProgram } from '../support/program.ts'

const PAGE = 'README.md'
const MOST_LINES = 150
const readme = readFileSync(PAGE, 'utf8')

t.test('it is short', async (t) => {
  t.ok(readme.split('\n').length <= MOST_LINES, `${readme.split('\n').length} lines`)
})

t.test('by its command and its two addresses, two windows talk', async (t) => {
  const port = await freePort()
  const command = codeBlock(PAGE, 'sh', 'npm run example').trim()
  const chat = startProgram(t, 'bash', ['-c', command], { env: { PORT: String(port) } })
  await chat.prints('Open http://127.0.0.1', 60_000)
  const addresses = [...readme.matchAll(/<(http:\/\/127\.0\.0\.1:3000\/[^>]*)>/g)].map(([, url = '']) => url)
  t.equal(addresses.length, 2)
  const browser = await openBrowser(t)
  const [one, other] = await Promise.all(
    addresses.map(async (address) => {
      const page = await browser.newPage()
      await page.goto(address.replace(':3000', `:${port}`))
      return page
    }),
  )
  await one?.locator('#users li', { hasText: 'bob' }).waitFor()
  await one?.getByLabel('Message').fill('hi bob')
  await one?.getByRole('button', { name: 'Send' }).click()
  await other?.locator('#messages li', { hasText: 'hi bob' }).waitFor()
  t.pass('bob reads what ada says')
})

t.test('a page of your own, opened in two windows, shows what both say', async (t) => {
  const { url } = await firstStart(t)
  const html = codeBlock(PAGE, 'html', 'new URL')
    .replace('ws://127.0.0.1:8080/ws?token=…', url)
    .replace('127.0.0.1:8080', new URL(url).host)
  t.match(html, url)
  const file = join(t.testdir({}), 'chat.html')
  writeFileSync(file, html)
  const browser = await openBrowser(t)
  const open = async () => {
    const page = await browser.newPage()
    await page.goto(pathToFileURL(file).href)
    return page.locator('body')
  }
  const one = await open()
  await one.filter({ hasText: 'dev: Hello from a page' }).waitFor()
  const other = await open()
  await other.filter({ hasText: 'dev: Hello from a page' }).waitFor()
  await one.filter({ hasText: /(dev: Hello from a page.*){2}/ }).waitFor()
  t.pass('each shows its own message, and the first the other’s')
})

t.test('its figures are those of docs/BENCHMARKS.md', async (t) => {
  const measured = readFileSync('docs/BENCHMARKS.md', 'utf8')
  const columns = ['roomcast', 'Socket.IO', 'ws, plain loop', 'gorilla (Go tutorial)', 'Bun']
  const rows: [row: string, scenario: string, column: string][] = [
    ['a delivery in a room of 500, µs of CPU', '500 members, window 8', 'CPU µs a delivery'],
    ['an idle client, KiB', '10,000 idle clients', 'KiB a client'],
    ['a connect with a token, µs of CPU', 'Connect storm', 'CPU µs a connect'],
  ]
  const cells = (line = '') => line.split('|').map((cell) => cell.trim().replaceAll('*', ''))
  for (const [row, scenario, column] of rows) {
    const shown = cells(readme.split('\n').find((line) => line.startsWith(`| ${row} |`))).slice(2)
    const table = (measured.split(`### ${scenario}`)[1]?.split('\n### ')[0] ?? '').split('\n')
    const at = cells(table.find((line) => line.startsWith('| server |'))).indexOf(column)
    for (const [index, server] of columns.entries()) {
      const figure = cells(table.find((line) => line.startsWith(`| ${server} |`)))[at] ?? ''
      const digits = shown[index]?.split('.')[1]?.length ?? 0
      t.equal(shown[index], Number.parseFloat(figure).toFixed(digits), `${server}: ${row}`)
    }
  }
})
