// The tasks of examples/react: two people share a list.
import t from 'tap'
import { openBrowser } from '../support/browser.ts'
import { startExample } from '../support/example.ts'

t.test('what one adds or ends, the other sees, and a reload brings the list back', async (t) => {
  const { url } = await startExample(t, 'react')
  const browser = await openBrowser(t)
  const faults: string[] = []
  const enter = async (user: string) => {
    const page = await browser.newPage()
    page.on('pageerror', ({ message }) => faults.push(message))
    await page.goto(`${url}/?user=${user}`)
    await page.locator('p', { hasText: user }).waitFor()
    return page
  }
  const [ada, bob] = [await enter('ada'), await enter('bob')]
  await ada.locator('p', { hasText: 'Here: ada, bob' }).waitFor()
  for (const task of ['buy milk', 'call mum']) {
    await ada.getByLabel('Task').fill(task)
    await ada.getByRole('button', { name: 'Add' }).click()
    await bob.locator('li', { hasText: task }).waitFor()
  }
  await bob.locator('li', { hasText: 'buy milk' }).getByRole('button').click()
  await ada.locator('li', { hasText: 'buy milk' }).waitFor({ state: 'detached' })
  await ada.reload()
  await ada.locator('li', { hasText: 'call mum' }).waitFor()
  t.equal(await ada.locator('li').count(), 1)
  t.strictSame(faults, [])
})
