// The client in a real Chromium, as docs/BUILD.md and docs/CLIENT.md have it.
import type { Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { API_SECRET, callApi } from '../../test/support/api.ts'
import { openBrowser } from '../../test/support/browser.ts'
import { connect } from '../../test/support/client.ts'
import { codeBlock } from '../../test/support/code-block.ts'
import { freePort } from '../../test/support/free-port.ts'
import { startServer } from '../../test/support/server.ts'
import { tokenFor } from '../../test/support/token.ts'

const script = codeBlock('docs/BUILD.md', 'html', "from '/client.js'")
/** The host's own part: a page that shows what is logged. */
const html = `<!doctype html><ul></ul><script>console.log = (...words) => {
  document.querySelector('ul').appendChild(document.createElement('li')).textContent = words.join(': ')
}</script>${script}`
const shows = (page: Page, text: string) => page.locator('li', { hasText: text }).waitFor()

async function openPage(t: Test): Promise<{ page: Page; faults: string[] }> {
  const browser = await openBrowser(t)
  const page = await browser.newPage()
  const faults: string[] = []
  page.on('pageerror', ({ message }) => faults.push(message))
  // The token that the host's login gives.
  await page.route('**/token', (route) => route.fulfill({ body: tokenFor('ada') }))
  return { page, faults }
}

t.test('the page of docs/BUILD.md says hello, and comes back when the node has been restarted', async (t) => {
  t.match(script, /hub\.room/)
  const env = { PORT: String(await freePort()), NODE_ENV: 'development' }
  let server = await startServer(env)
  t.teardown(() => server.stop())
  const { page, faults } = await openPage(t)
  await page.goto(server.url('/health/live'))
  await page.setContent(html)
  await shows(page, 'ada: hello')
  await server.stop()
  server = await startServer(env)
  const bob = await connect(server, 'bob')
  await bob.join('general')
  // Said before the page is back, perhaps: it joins again with a position that is void, and gets the last ones.
  await bob.publish('general', 'welcome back')
  await shows(page, 'bob: welcome back')
  t.strictSame(faults, [])
  await bob.close()
})

t.test('where the browser blocks WebSockets, the page gets its messages all the same', async (t) => {
  const server = await startServer({ API_KEYS: `k:${API_SECRET}`, NODE_ENV: 'development' })
  t.teardown(() => server.stop())
  const { page, faults } = await openPage(t)
  // A page that Chromium did not get from this machine may not open sockets to it; plain HTTP it may.
  await page.route('**/page', (route) => route.fulfill({ contentType: 'text/html', body: html }))
  await page.goto(server.url('/page'))
  await shows(page, 'ada: hello')
  const bob = await connect(server, 'bob')
  await bob.join('general')
  await bob.publish('general', 'hello over HTTP')
  await shows(page, 'bob: hello over HTTP')
  const { clients } = (await callApi(server, { path: '/users/ada' })).body as {
    clients: { transport: string }[]
  }
  t.match(clients, [{ transport: 'stream' }])
  t.strictSame(faults, [])
  await bob.close()
})
