// What happens to pages, played by the DevTools protocol: the network goes, the tab is hidden, frozen, or suspended.
import type { CDPSession, Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { openBrowser } from '../../test/support/browser.ts'
import { connect } from '../../test/support/client.ts'
import { type Env, type Server, startServer } from '../../test/support/server.ts'
import { tokenFor } from '../../test/support/token.ts'
import { pollUntil } from '../../test/support/until.ts'

interface Life {
  server: Server
  page: Page
  devTools: CDPSession
  /** Publishes the next number. */
  say(): Promise<void>
  /** Resolves when the page has seen all numbers, each once and in their order. */
  hasAll(): Promise<void>
  states(): Promise<string[]>
  tokens(): number
}

async function begin(t: Test, env: Env = {}): Promise<Life> {
  const server = await startServer({ NODE_ENV: 'development', SHUTDOWN_GRACE_MS: '1500', ...env })
  t.teardown(() => server.stop())
  const context = await (await openBrowser(t)).newContext()
  const page = await context.newPage()
  let tokens = 0
  await page.route('**/token', (route) => {
    tokens++
    return route.fulfill({ body: tokenFor('ada') })
  })
  await page.goto(server.url('/health/live'))
  await page.evaluate(`(async () => {
    const { connect } = await import('/client.js')
    window.seen = []
    window.states = []
    window.hub = connect('/', { token: () => fetch('/token').then((answer) => answer.text()) })
    hub.on('state', (state) => states.push(JSON.stringify(state)))
    const room = hub.room('r')
    room.on('message', ({ content }) => seen.push(content))
    await new Promise((resolve) => room.on('joined', resolve))
  })()`)
  const bob = await connect(server, 'bob')
  t.teardown(() => bob.close())
  await bob.join('r')
  let said = 0
  return {
    ...{ server, page, devTools: await context.newCDPSession(page), tokens: () => tokens },
    say: async () => void (await bob.publish('r', ++said)),
    states: () => page.evaluate('states'),
    hasAll: async () => {
      const seen = () => page.evaluate('seen') as Promise<number[]>
      await pollUntil('the page has all', async () => (await seen()).length >= said)
      t.strictSame(
        await seen(),
        Array.from({ length: said }, (_, n) => n + 1),
      )
    },
  }
}

const offline = (devTools: CDPSession, isOffline: boolean) =>
  devTools.send('Network.emulateNetworkConditions', {
    ...{ offline: isOffline, latency: 0, downloadThroughput: -1, uploadThroughput: -1 },
  })

t.test('offline and online: the page comes back at once, with one socket', async (t) => {
  const { server, page, devTools, say, hasAll, states } = await begin(t)
  await devTools.send('Network.enable')
  await say()
  await hasAll()
  for (let round = 0; round < 2; round++) {
    await offline(devTools, true)
    // Chromium keeps open sockets: the network takes them with it.
    await page.evaluate('dispatchEvent(new Event("offline"))')
    await server.health()
    await say()
    await offline(devTools, false)
    await say()
    await hasAll()
  }
  t.equal((await server.health()).clients, 2)
  t.notOk((await states()).includes('closed'))
})

t.test('frozen for longer than its node waits: it comes back, and shows what it missed', async (t) => {
  const { server, devTools, say, hasAll } = await begin(t, {
    ...{ PING_INTERVAL_MS: '500', PONG_TIMEOUT_MS: '500' },
  })
  await say()
  await hasAll()
  await devTools.send('Page.setWebLifecycleState', { state: 'frozen' })
  for (let n = 0; n < 5; n++) await say()
  await devTools.send('Page.setWebLifecycleState', { state: 'active' })
  await say()
  await hasAll()
  t.equal((await server.health()).clients, 2)
})

t.test('suspended by its debugger, cut, and let go: a new token, and nothing missing', async (t) => {
  const { server, page, devTools, tokens } = await begin(t, {
    ...{ PING_INTERVAL_MS: '300', PONG_TIMEOUT_MS: '300' },
  })
  const before = tokens()
  await devTools.send('Debugger.enable')
  // A laptop's lid: no script runs, and the process that answers pings is stopped with it.
  await devTools.send('Debugger.pause')
  const stopped = page.evaluate('1 + 1')
  await server.stop('SIGKILL')
  const again = await startServer({
    PORT: String(server.port),
    NODE_ENV: 'development',
    SHUTDOWN_GRACE_MS: '1500',
  })
  t.teardown(() => again.stop())
  const bob = await connect(again, 'bob')
  await bob.join('r')
  await devTools.send('Debugger.resume')
  await stopped
  await pollUntil('the page is back', async () => (await again.health()).clients === 2)
  await pollUntil('it hears', async () => {
    await bob.publish('r', 'hello')
    return ((await page.evaluate('seen')) as unknown[]).includes('hello')
  })
  t.ok(tokens() > before, 'with a token of its own')
  await bob.close()
})

t.test('hidden while its node goes: it is there when it is looked at again', async (t) => {
  const { server, page, say, hasAll, states } = await begin(t)
  await say()
  await hasAll()
  // A headless Chromium has no tabs in the background: the page is told that it is one.
  const show = (state: string) =>
    page.evaluate(`Object.defineProperty(document, 'visibilityState', { value: '${state}', configurable: true })
      document.dispatchEvent(new Event('visibilitychange'))`)
  await show('hidden')
  await server.stop()
  await pollUntil('it waits', async () => /waiting/.test((await states()).at(-1) ?? ''))
  const again = await startServer({
    PORT: String(server.port),
    NODE_ENV: 'development',
    SHUTDOWN_GRACE_MS: '1500',
  })
  t.teardown(() => again.stop())
  await show('visible')
  await pollUntil('it is back', async () => (await again.health()).clients === 1)
  await pollUntil('and says so', async () => /open/.test((await states()).at(-1) ?? ''))
})
