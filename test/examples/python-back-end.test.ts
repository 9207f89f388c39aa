// The auction of examples/python-back-end: bids go to Python, and come back to everybody.
import t from 'tap'
import { openBrowser } from '../support/browser.ts'
import { startExample } from '../support/example.ts'
import { freePort } from '../support/free-port.ts'

t.test('Python takes bids as calls, refuses low ones, and publishes the best', async (t) => {
  const roomcast = String(await freePort())
  const { url, program } = await startExample(t, 'python-back-end', { ROOMCAST_PORT: roomcast })
  const browser = await openBrowser(t)
  const enter = async (user: string) => {
    const page = await browser.newPage()
    await page.goto(`${url}/?user=${user}`)
    await page.locator('#state', { hasText: `You are ${user}` }).waitFor()
    return page
  }
  const [ada, bob] = [await enter('ada'), await enter('bob')]
  const bid = async (page: typeof ada, amount: string, answer: string) => {
    await page.getByLabel('Amount').fill(amount)
    await page.getByRole('button', { name: 'Bid' }).click()
    await page.locator('#state', { hasText: answer }).waitFor()
  }
  await bid(ada, '10', 'Yours is the best bid')
  await bob.locator('#best', { hasText: 'ada bids 10' }).waitFor()
  await bid(bob, '9', 'bid more than 10')
  await bid(bob, '12', 'Yours is the best bid')
  await ada.locator('#best', { hasText: 'bob bids 12' }).waitFor()

  const forged = {
    method: 'POST',
    body: '{"hook":"call","method":"bid","user":"eve","params":{"amount":99}}',
  }
  t.equal((await fetch(`${url}/roomcast`, forged)).status, 401, 'what roomcast has not signed is refused')
  t.equal(program.stderr, '')
})
