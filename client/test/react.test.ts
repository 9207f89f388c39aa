// `roomcast-client/react` in a real Chromium, as StrictMode mounts it.
import { build } from 'esbuild'
import t from 'tap'
import { openBrowser } from '../../test/support/browser.ts'
import { connect } from '../../test/support/client.ts'
import { startServer } from '../../test/support/server.ts'
import { tokenFor } from '../../test/support/token.ts'
import { pollUntil } from '../../test/support/until.ts'

const RULES = JSON.stringify([{ match: '*', presence: { lingerMs: 0, intervalMs: 10 } }])

async function bundle(): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: ['client/test/react/app.tsx'],
    ...{ bundle: true, write: false, format: 'iife', jsx: 'automatic' },
    define: { 'process.env.NODE_ENV': '"development"' },
  })
  return outputFiles[0]?.text ?? ''
}

t.test(
  'case 40: under StrictMode a component has one socket and one join, and none once it is gone',
  async (t) => {
    const server = await startServer({ NODE_ENV: 'development', ROOM_RULES: RULES })
    t.teardown(() => server.stop())
    const page = await (await openBrowser(t)).newPage()
    const faults: string[] = []
    page.on('pageerror', ({ message }) => faults.push(message))
    page.on('console', (message) => message.type() === 'error' && faults.push(message.text()))
    const joins: string[] = []
    page.on('websocket', (socket) => {
      socket.on('framesent', ({ payload }) => {
        const { type, room } = JSON.parse(String(payload)) as { type: string; room?: string }
        joins.push(`${type} ${room}`)
      })
    })
    await page.route('**/token', (route) => route.fulfill({ body: tokenFor('ada') }))
    const bob = await connect(server, 'bob')
    await bob.join('r')
    await bob.publish('r', 'before')
    await page.goto(server.url('/health/live'))
    await page.addScriptTag({ content: await bundle() })
    const shows = (text: string) => page.locator('li', { hasText: text }).waitFor()

    await page.locator('#state', { hasText: 'joined' }).waitFor()
    await shows('before')
    await page.locator('#here', { hasText: '2: ada,bob' }).waitFor()
    t.strictSame(joins, ['join r'], 'one for both components, mounted twice each')
    t.equal((await server.health()).clients, 2)
    await page.click('#say')
    await shows('hello from React')
    for (const text of ['one', 'two']) await bob.publish('r', text)
    await shows('two')
    t.same(await page.locator('li').allTextContents(), ['hello from React', 'one', 'two'], 'the newest three')

    await page.click('#other')
    await page.locator('#here', { hasText: '1: ada' }).waitFor()
    await pollUntil('the room of before is left', () => joins.includes('leave r'))
    t.equal(await page.locator('li').count(), 0)
    await page.click('#none')
    await pollUntil('that is left too', () => joins.includes('leave other'))
    t.strictSame(joins, ['join r', 'message r', 'join other', 'leave r', 'leave other'])
    t.equal((await server.health()).clients, 2, 'the hub is the page’s, and stays')
    t.strictSame(faults, [], 'React has nothing to say')
    await bob.close()
  },
)
