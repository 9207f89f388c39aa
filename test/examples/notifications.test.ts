// The bell of examples/notifications: one user with two devices, and another one.
import t from 'tap'
import { openBrowser } from '../support/browser.ts'
import { startExample } from '../support/example.ts'

t.test('a notice rings on all devices of its user, and on nobody else’s', async (t) => {
  const { url } = await startExample(t, 'notifications')
  const browser = await openBrowser(t)
  const enter = async (user: string) => {
    const page = await browser.newPage()
    await page.goto(`${url}/?user=${user}`)
    await page.locator('#state', { hasText: 'open' }).waitFor()
    return page
  }
  const [phone, laptop, bob] = [await enter('ada'), await enter('ada'), await enter('bob')]
  const rings = (page: typeof phone, times: string) =>
    page.locator('#unread', { hasText: new RegExp(`^${times}$`) }).waitFor()

  await phone.getByRole('button', { name: 'Order' }).click()
  await Promise.all([rings(phone, '1'), rings(laptop, '1')])
  await bob.getByRole('button', { name: 'Order' }).click()
  await rings(bob, '1')
  await phone.getByRole('button', { name: 'Order' }).click()
  await Promise.all([rings(phone, '2'), rings(laptop, '2')])
  t.match(await laptop.locator('li').first().textContent(), 'Your order is on its way')
  t.equal(await bob.locator('li').count(), 1, 'bob has heard of his own order only')
})
