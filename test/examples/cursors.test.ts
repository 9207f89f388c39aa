// The cursors of examples/cursors: one mouse moves, the other page follows.
import t from 'tap'
import { openBrowser } from '../support/browser.ts'
import { startExample } from '../support/example.ts'
import { pollUntil } from '../support/until.ts'

t.test('a cursor follows, at 30 updates a second and no more, and goes with its user', async (t) => {
  const { url } = await startExample(t, 'cursors')
  const browser = await openBrowser(t)
  const enter = async (user: string) => {
    const page = await (await browser.newContext()).newPage()
    await page.goto(`${url}/?user=${user}`)
    await page.locator('#state', { hasText: `You are ${user}` }).waitFor()
    return page
  }
  const ada = await enter('ada')
  const bob = await enter('bob')
  const seen = bob.locator('.cursor', { hasText: 'ada' })
  const updates = async () => Number(await seen.getAttribute('data-updates'))

  await ada.mouse.move(1, 1)
  await seen.waitFor()
  const [before, startMs] = [await updates(), performance.now()]
  // More often than any mouse, and without a round trip to the browser for each.
  await ada.evaluate(
    `globalThis.moving = setInterval(() => dispatchEvent(new PointerEvent('pointermove', { clientX: Math.random() * 500 })), 4)`,
  )
  await pollUntil('the mouse has moved for a while', async () => (await updates()) >= before + 60)
  const perSecond = ((await updates()) - before) / ((performance.now() - startMs) / 1000)
  await ada.evaluate('clearInterval(globalThis.moving)')
  t.comment(`${perSecond.toFixed(1)} a second`)
  t.ok(perSecond < 33, 'it is throttled, whatever the mouse does')

  const { width = 0, height = 0 } = ada.viewportSize() ?? {}
  await ada.mouse.move(width / 2, height / 2)
  await pollUntil('the cursor stands in the middle', async () =>
    /translate\(640px, 360px\)/.test((await seen.getAttribute('style')) ?? ''),
  )
  await ada.close()
  await seen.waitFor({ state: 'detached' })
  t.pass('it is taken away')
})
