// /console in a real Chromium, as somebody who has the key sees it.
import { readFileSync } from 'node:fs'
import type { Page } from 'playwright-core'
import type { Test } from 'tap'
import { API_SECRET } from './api.ts'
import { openBrowser } from './browser.ts'
import type { Server } from './server.ts'

const AXE = readFileSync('node_modules/axe-core/axe.min.js', 'utf8')

/** `faults` has what its script throws, and what the browser complains of. */
export async function openConsole(
  t: Test,
  server: Server,
  width = 1400,
): Promise<{ page: Page; faults: string[] }> {
  const browser = await openBrowser(t)
  const page = await browser.newPage({ viewport: { width, height: 900 } })
  const faults: string[] = []
  page.on('pageerror', ({ message }) => faults.push(message))
  // The content security policy's complaints come here too.
  page.on('console', (message) => message.type() === 'error' && faults.push(message.text()))
  await page.goto(server.url('/console'))
  await page.fill('#login input', API_SECRET)
  await page.click('#login button')
  await page.locator('#status', { hasText: 'up' }).waitFor()
  return { page, faults }
}

/** Goes to a view by its link; a name behind it by the address. */
export async function openView(page: Page, view: string, name?: string): Promise<void> {
  if (name === undefined) await page.click(`nav a[href="#${view}"]`)
  else await page.evaluate(`location.hash = ${JSON.stringify(`${view}/${encodeURIComponent(name)}`)}`)
  await page.locator(`#view-${view}`).waitFor()
}

/** What axe finds that is serious or worse, by its ids. */
export async function barriers(page: Page): Promise<string[]> {
  // The policy lets no script in but the page's own; the test's comes by the debugger.
  await page.evaluate(AXE)
  return page.evaluate(`axe.run(document).then(({ violations }) => violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => id + ' ' + nodes.map(({ html }) => html).join(' ')))`)
}

/** Whether the page is wider than its window. */
export function overflows(page: Page): Promise<boolean> {
  return page.evaluate('document.documentElement.scrollWidth > innerWidth')
}
