// The dashboard of examples/dashboard: what is published over HTTP is drawn.
import { randomBytes } from 'node:crypto'
import t from 'tap'
import { callApi } from '../support/api.ts'
import { openBrowser } from '../support/browser.ts'
import { startExample } from '../support/example.ts'
import { pollUntil } from '../support/until.ts'

t.test(
  'figures come by themselves, from any back end with the key, and are there after a reload',
  async (t) => {
    const secret = randomBytes(24).toString('base64url')
    const { url, port, program } = await startExample(t, 'dashboard', { API_SECRET: secret })
    const page = await (await openBrowser(t)).newPage()
    await page.goto(url)
    await page.locator('#state', { hasText: 'open' }).waitFor()
    const points = async () =>
      ((await page.locator('#line-load').getAttribute('points')) ?? '').split(' ').filter(Boolean).length
    await pollUntil('the feed is drawn', async () => (await points()) >= 2)

    const content = { load: 1, memory: 123_456, orders: 7 }
    const { status } = await callApi(
      { host: '127.0.0.1', port },
      { path: '/rooms/metrics/messages', body: { content }, secret },
    )
    t.equal(status, 200)
    const drawn = await pollUntil('it is drawn', async () => (await points()) >= 3 && points())
    await page.reload()
    await pollUntil('the last minute is there again', async () => (await points()) >= drawn)
    t.equal(program.stderr, '')
  },
)
