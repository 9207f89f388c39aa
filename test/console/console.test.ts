// GET /console in a real Chromium: what it shows, that it is usable by everybody, and that it is off in production.
import { readFileSync } from 'node:fs'
import { gzipSync } from 'node:zlib'
import type { Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { API_SECRET } from '../support/api.ts'
import { openBrowser } from '../support/browser.ts'
import { type Client, connect } from '../support/client.ts'
import { type Server, startServer } from '../support/server.ts'
import { tokenFor } from '../support/token.ts'
import { pollUntil } from '../support/until.ts'

const AXE = readFileSync('node_modules/axe-core/axe.min.js', 'utf8')
const MOST_BYTES = 16 * 1024
const ENV = {
  ...{ NODE_ENV: 'development', API_KEYS: `ops:${API_SECRET}`, SHUTDOWN_GRACE_MS: '500' },
  ROOM_RULES: JSON.stringify([{ match: '*', presence: { lingerMs: 0, intervalMs: 10 } }]),
}

async function openConsole(t: Test, server: Server, width = 1400): Promise<{ page: Page; faults: string[] }> {
  const browser = await openBrowser(t)
  const page = await browser.newPage({ viewport: { width, height: 900 } })
  const faults: string[] = []
  page.on('pageerror', ({ message }) => faults.push(message))
  // The content security policy's complaints come here too.
  page.on('console', (message) => message.type() === 'error' && faults.push(message.text()))
  await page.goto(server.url('/console'))
  await page.fill('#login input', API_SECRET)
  await page.click('#login button')
  await page.locator('#status', { hasText: 'answered' }).waitFor()
  return { page, faults }
}

/** What axe finds that is serious or worse, by its ids. */
async function barriers(page: Page): Promise<string[]> {
  // The policy lets no script in but the page's own; the test's comes by the debugger.
  await page.evaluate(AXE)
  return page.evaluate(`axe.run(document).then(({ violations }) => violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => id + ' ' + nodes.map(({ html }) => html).join(' ')))`)
}

t.test('the console', async (t) => {
  const server = await startServer(ENV)
  t.teardown(() => server.stop())
  const ada = await connect(server, 'ada')
  await ada.join('lobby')
  await ada.publish('lobby', { text: '<b>hello</b>' })
  const { page, faults } = await openConsole(t, server)

  await t.test('shows nodes and figures', async (t) => {
    await page.locator('#nodes tr', { hasText: 'memory, up' }).waitFor()
    t.equal(await page.locator('#charts figure').count(), 6)
    await page
      .locator('figure', { hasText: 'Published a second' })
      .locator('output', { hasText: /\d/ })
      .waitFor()
  })

  await t.test('shows rooms, and what was said in one, as text', async (t) => {
    await page.locator('#rooms-found tr', { hasText: 'lobby' }).getByRole('button').click()
    await page.locator('#room li', { hasText: 'ada: {"text":"<b>hello</b>"}' }).waitFor()
    t.equal(await page.locator('#room b').count(), 0)
    await page.fill('#find-rooms input', 'zzz')
    await page.click('#find-rooms button')
    await page.locator('#rooms-found', { hasText: 'No room has members.' }).waitFor()
  })

  await t.test('talks in two panes, and comes back when its connection is cut', async () => {
    await page.fill('#join [name=token]', tokenFor('me'))
    await page.fill('#join [name=room]', 'lobby')
    await page.click('#join button')
    const [one, two] = [page.locator('article').first(), page.locator('article').last()]
    await one.locator('li', { hasText: 'in the room' }).waitFor()
    await two.locator('li', { hasText: 'in the room' }).waitFor()
    await one.locator('p', { hasText: '2 here: ' }).waitFor()
    await one.getByLabel('What One says').fill('hi there')
    await one.getByRole('button', { name: 'Say' }).click()
    await two.locator('li', { hasText: 'me: hi there' }).waitFor()
    await one.getByRole('button', { name: 'Cut my connection' }).click()
    await one.locator('li', { hasText: 'waiting' }).waitFor()
    await ada.publish('lobby', 'while you were away')
    await one.locator('li', { hasText: 'came after' }).last().waitFor()
    await one.locator('li', { hasText: 'while you were away' }).waitFor()
  })

  await t.test('finds clients, and disconnects them', async (t) => {
    await page.fill('#find-clients input', 'ada')
    await page.click('#find-clients button')
    const found = page.locator('#clients-found tr', { hasText: 'websocket' })
    await found.waitFor()
    t.match(await found.textContent(), /ada/)
    await found.getByRole('button').click()
    await page.locator('#clients-found', { hasText: 'Nobody of that name' }).waitFor()
    t.equal((await ada.closed()).code, 4403)
  })

  await t.test('has no serious barrier, wide and narrow', async (t) => {
    t.strictSame(await barriers(page), [])
    await page.setViewportSize({ width: 400, height: 800 })
    t.strictSame(await barriers(page), [])
    const overflows = await page.evaluate('document.documentElement.scrollWidth > innerWidth')
    t.equal(overflows, false, 'nothing is cut off on a phone')
    await page.emulateMedia({ colorScheme: 'dark' })
    t.strictSame(await barriers(page), [], 'in the dark')
  })

  await t.test('a wrong key is told, and nothing is kept', async (t) => {
    await page.reload()
    t.equal(await page.inputValue('#login input'), '')
    t.strictSame(await page.evaluate('[localStorage.length, sessionStorage.length, document.cookie]'), [
      0,
      0,
      '',
    ])
    await page.fill('#login input', 'not-the-secret-of-it')
    await page.click('#login button')
    await page.locator('#status', { hasText: 'the secret of an API key' }).waitFor()
  })

  // The browser's own words of the wrong key, and of a client that is gone.
  t.strictSame(
    faults.filter((text) => !/401|404/.test(text)),
    [],
  )
})

t.test(
  'the console is small, has no outside part, and is off in production unless it is wanted',
  async (t) => {
    const server = await startServer({ ...ENV, NODE_ENV: 'production' })
    t.teardown(() => server.stop())
    t.equal((await fetch(server.url('/console'))).status, 404)
    const wanted = await startServer({ ...ENV, NODE_ENV: 'production', CONSOLE: 'true' })
    t.teardown(() => wanted.stop())
    let bytes = 0
    for (const path of ['/console', '/console/console.js', '/console/console.css']) {
      const answer = await fetch(wanted.url(path))
      t.equal(answer.status, 200)
      t.match(answer.headers.get('content-security-policy'), /default-src 'none'/)
      const text = await answer.text()
      t.notMatch(text.replaceAll('http://www.w3.org/2000/svg', ''), /(src|href)="?https?:/)
      bytes += gzipSync(text).length
    }
    t.comment(`${bytes} bytes`)
    t.ok(bytes <= MOST_BYTES, `${bytes} bytes, gzipped`)
  },
)

t.test('with thousands of clients it is as quick', async (t) => {
  const server = await startServer({ ...ENV, CONNECT_RATE_MAX: '0' })
  t.teardown(() => server.stop())
  const clients: Client[] = []
  for (let n = 0; n < 20; n++)
    clients.push(
      ...(await Promise.all(Array.from({ length: 50 }, (_, at) => connect(server, `u${n}-${at}`)))),
    )
  for (const [at, client] of clients.entries()) await client.join(`room-${at % 200}`)
  const { page } = await openConsole(t, server)
  await page.locator('#nodes tr', { hasText: '1,000' }).waitFor()
  await pollUntil('a page of rooms', async () => (await page.locator('#rooms-found tr').count()) === 51)
  await page.getByRole('button', { name: 'Next' }).click()
  await page
    .locator('#rooms-found tr', { hasText: 'room-199' })
    .or(page.locator('#rooms-found tr').nth(2))
    .first()
    .waitFor()
  await Promise.all(clients.map((client) => client.close()))
})
