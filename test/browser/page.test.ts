// The example chat page in a real browser against a real server.
import { readFileSync } from 'node:fs'
import type { BrowserContext, Page } from 'playwright-core'
import t from 'tap'
import { openBrowser, servePage } from '../support/browser.ts'
import { connect } from '../support/client.ts'
import { startServer } from '../support/server.ts'
import { TcpRelay } from '../support/tcp-relay.ts'
import { tokenFor } from '../support/token.ts'
import { pollUntil } from '../support/until.ts'

const html = readFileSync('examples/chat.html', 'utf8')

t.test(
  'pages join a room, talk to each other and to other clients, and see why they are closed',
  async (t) => {
    const server = await startServer()
    t.teardown(() => server.stop())
    const browser = await openBrowser(t)
    const address = await servePage(t, html)

    const enter = async (context: BrowserContext, token: string): Promise<Page> => {
      const page = await context.newPage()
      await page.goto(address)
      await page.getByLabel('URL').fill(`ws://127.0.0.1:${server.port}/ws?token=${token}`)
      await page.getByRole('button', { name: 'Join' }).click()
      return page
    }
    const shows = (page: Page, text: string) => page.locator('li', { hasText: text }).waitFor()
    const stateIs = (page: Page, text: string) => page.locator('#state', { hasText: text }).waitFor()

    const ada = await enter(await browser.newContext(), tokenFor('ada'))
    const bob = await enter(await browser.newContext(), tokenFor('bob'))
    await Promise.all([stateIs(ada, 'in general'), stateIs(bob, 'in general')])

    await ada.getByLabel('message').fill('Hello, <b>Bob</b> 👋')
    await ada.getByRole('button', { name: 'Send' }).click()
    await Promise.all([shows(ada, 'ada: Hello, <b>Bob</b> 👋'), shows(bob, 'ada: Hello, <b>Bob</b> 👋')])
    t.pass('a message reaches the other page, and the own one that asked for an echo')

    const client = await connect(server, 'cleo')
    await client.join('general')
    client.say('general', 'from a program')
    await Promise.all([shows(ada, 'cleo: from a program'), shows(bob, 'cleo: from a program')])
    await bob.getByLabel('message').fill('to a program')
    await bob.getByRole('button', { name: 'Send' }).click()
    const { from } = await client.next((envelope) => envelope.content === 'to a program')
    t.match(from, { user: 'bob' }, 'pages and other clients share rooms')

    const stranger = await enter(await browser.newContext(), 'no.valid.token')
    await stateIs(stranger, '(1006)')
    t.pass('a refused upgrade is 1006 to a page')

    await stranger.getByLabel('URL').fill('hello')
    await stranger.getByRole('button', { name: 'Join' }).click()
    await stateIs(stranger, 'not a URL')
    await stranger.getByLabel('message').fill('lost?')
    await stranger.getByRole('button', { name: 'Send' }).click()
    await stateIs(stranger, 'nothing was sent')
    await stranger.getByLabel('URL').fill(`ws://127.0.0.1:${server.port}/ws?token=${tokenFor('stranger')}`)
    await stranger.getByRole('button', { name: 'Join' }).click()
    await stateIs(stranger, 'in general')
    await stranger.getByRole('button', { name: 'Send' }).click()
    await shows(ada, 'stranger: lost?')
    t.pass('with the right URL it is let in, and what could not be sent was kept')

    server.signal('SIGTERM')
    await Promise.all([stateIs(ada, '(1001)'), stateIs(bob, '(1001)')])
    t.equal((await server.exited()).code, 0, 'the server has ended; the pages saw 1001')
  },
)

t.test(
  'a page of an origin that is not allowed is refused, and one of an allowed origin is not',
  async (t) => {
    const browser = await openBrowser(t)
    const page = await browser.newPage()
    const [mine, other] = [await servePage(t, html), await servePage(t, html)]
    const server = await startServer({ ALLOWED_ORIGINS: new URL(mine).origin })
    t.teardown(() => server.stop())
    const stateAt = async (address: string, text: string) => {
      await page.goto(address)
      await page.getByLabel('URL').fill(`ws://127.0.0.1:${server.port}/ws?token=${tokenFor('ada')}`)
      await page.getByRole('button', { name: 'Join' }).click()
      await page.locator('#state', { hasText: text }).waitFor()
    }
    await stateAt(mine, 'in general')
    await stateAt(other, '(1006)')
    t.equal((await server.log('the refusal is logged', (line) => line.status === 403)).path, '/ws')
  },
)

t.test('a page shows the history once, and after a cut connection what it missed', async (t) => {
  const server = await startServer()
  t.teardown(() => server.stop())
  const relay = await TcpRelay.open(server.port)
  t.teardown(() => relay.close())
  const client = await connect(server, 'cleo')
  await client.join('general')
  for (const text of ['one', 'two']) await client.publish('general', text)
  const page = await (await openBrowser(t)).newPage()
  await page.goto(await servePage(t, html))
  await page.getByLabel('URL').fill(`ws://127.0.0.1:${relay.port}/ws?token=${tokenFor('ada')}`)
  await page.getByRole('button', { name: 'Join' }).click()
  const shown = async () => (await page.locator('li').allTextContents()).map((line) => line.split(' ').at(-1))
  const shows = (texts: string[]) =>
    pollUntil(`the page shows ${texts}`, async () => String(await shown()) === String(texts))
  await shows(['one', 'two'])
  await client.publish('general', 'three')
  await shows(['one', 'two', 'three'])
  relay.freeze()
  relay.cut()
  await page.locator('#state', { hasText: '(1006)' }).waitFor()
  await client.publish('general', 'four')
  relay.heal()
  await shows(['one', 'two', 'three', 'four'])
  t.equal((await server.health()).clients, 2)
  await client.close()
})

t.test('a page gets a new token when its own has expired, and goes on', async (t) => {
  const server = await startServer()
  t.teardown(() => server.stop())
  const page = await (await openBrowser(t)).newPage()
  const address = await servePage(t, html)
  await page.route(`${address}token`, async (route) => {
    await page.locator('#state', { hasText: '(4401)' }).waitFor()
    await route.fulfill({ body: tokenFor('ada', { jti: 'the new one' }) })
  })
  await page.goto(address)
  await page.getByLabel('tokens').fill(`${address}token`)
  const renewed = page.waitForResponse(`${address}token`)
  const short = tokenFor('ada', { exp: Math.floor(Date.now() / 1000) + 2 })
  await page.getByLabel('URL').fill(`ws://127.0.0.1:${server.port}/ws?token=${short}`)
  await page.getByRole('button', { name: 'Join' }).click()
  await page.locator('#state', { hasText: 'in general' }).waitFor()
  await renewed
  await page.locator('#state', { hasText: 'in general' }).waitFor()
  await page.getByLabel('message').fill('still here')
  await page.getByRole('button', { name: 'Send' }).click()
  await page.locator('li', { hasText: 'ada: still here' }).waitFor()
  t.pass('with the new token it is let in again')
})

t.test('a page whose room begins anew loads what there is', async (t) => {
  const server = await startServer({ HISTORY_TOTAL_BYTES: '50000' })
  t.teardown(() => server.stop())
  const page = await (await openBrowser(t)).newPage()
  await page.goto(await servePage(t, html))
  await page.getByLabel('URL').fill(`ws://127.0.0.1:${server.port}/ws?token=${tokenFor('ada')}`)
  await page.getByRole('button', { name: 'Join' }).click()
  await page.locator('#state', { hasText: 'in general' }).waitFor()
  const client = await connect(server, 'cleo')
  await client.join('general')
  await client.publish('general', 'before')
  await page.locator('li', { hasText: 'before' }).waitFor()
  for (const room of ['a', 'b', 'c']) {
    await client.join(room)
    await client.publish(room, 'x'.repeat(20_000))
  }
  await client.publish('general', 'after')
  await page.locator('li', { hasText: 'before' }).waitFor({ state: 'detached' })
  await page.locator('li', { hasText: 'after' }).waitFor()
  t.equal(await page.locator('li').count(), 1, 'once')
  await client.close()
})
