// The app of examples/fastify-login: its login, hooks and call, as people use them.
import t from 'tap'
import { openBrowser } from '../support/browser.ts'
import { startExample } from '../support/example.ts'

t.test('the app’s login decides who comes in, its hooks what they may, and its call cancels', async (t) => {
  const { url } = await startExample(t, 'fastify-login')
  t.equal((await fetch(`${url}/token`)).status, 401, 'no session, no token')
  const browser = await openBrowser(t)
  const open = async () => {
    const page = await (await browser.newContext()).newPage()
    await page.goto(url)
    return page
  }
  const [ada, bob] = [await open(), await open()]
  const logIn = async (page: typeof ada, user: string, password: string) => {
    await page.getByLabel('User').fill(user)
    await page.getByLabel('Password').fill(password)
    await page.getByRole('button', { name: 'Log in' }).click()
  }
  const says = (page: typeof ada, text: string) => page.locator('#state', { hasText: text }).waitFor()
  const press = (page: typeof ada, name: string) => page.getByRole('button', { name, exact: true }).click()

  await logIn(ada, 'ada', 'wrong')
  await says(ada, 'wrong user or password')
  await logIn(ada, 'ada', 'lovelace')
  await says(ada, 'logged in as ada')
  await press(ada, 'Join')
  await says(ada, 'in team.red')
  await ada.getByLabel('Message').fill('damn, order 7 is wrong')
  await press(ada, 'Say')
  await ada.locator('li', { hasText: 'ada: ****, order 7 is wrong' }).waitFor()

  await logIn(bob, 'bob', 'builder')
  await says(bob, 'logged in as bob')
  await press(bob, 'Join')
  await says(bob, 'not your team')
  await press(bob, 'Cancel order 7')
  await says(bob, 'no such order of yours')

  await press(ada, 'Cancel order 7')
  await says(ada, 'cancelled')
  await ada.locator('li', { hasText: 'shop: Order 7 is cancelled.' }).waitFor()
  t.equal(await bob.locator('li').count(), 0)
})
