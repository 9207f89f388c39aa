// The poll of examples/from-socket-io: the same steps, on the same page, with either server.
import t from 'tap'
import { openBrowser } from '../support/browser.ts'
import { startExample } from '../support/example.ts'
import { freePort } from '../support/free-port.ts'

t.test('both do the same: a word reaches the room, a vote is answered and told', async (t) => {
  const before = await freePort()
  const { program } = await startExample(t, 'from-socket-io', { SOCKET_IO_PORT: String(before) })
  await program.prints('With Socket.IO')
  const urls = await program.until('both addresses are printed', () => {
    const found = program.stdout.match(/http\S+(?=\n)/g)
    return found?.length === 2 && found
  })
  const browser = await openBrowser(t)
  for (const url of urls) {
    const enter = async () => {
      const page = await browser.newPage()
      await page.goto(url)
      await page.locator('#state', { hasText: 'connected' }).waitFor()
      return page
    }
    const [one, two] = [await enter(), await enter()]
    await one.getByRole('button', { name: 'Soup' }).click()
    await one.locator('#state', { hasText: '1 for soup' }).waitFor()
    await two.locator('#votes', { hasText: '{"pizza":0,"soup":1}' }).waitFor()
    await two.getByLabel('Message').fill('soup, then')
    await two.getByRole('button', { name: 'Say' }).click()
    await Promise.all([one, two].map((page) => page.locator('li', { hasText: 'ada: soup, then' }).waitFor()))
    t.pass(new URL(url).host)
    if (url === urls[0]) await Promise.all([one, two].map((page) => page.close()))
  }
  program.signal('SIGINT')
  t.equal(await program.exited(), 0, 'Ctrl-C ends it, also while pages of Socket.IO are open')
})
