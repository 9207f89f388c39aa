// One socket for all tabs, in a real Chromium: `roomcast-client/tabs`.
import type { BrowserContext, Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { openBrowser } from '../../test/support/browser.ts'
import { connect } from '../../test/support/client.ts'
import { type Env, type Server, startServer } from '../../test/support/server.ts'
import { tokenFor } from '../../test/support/token.ts'
import { pace, pollUntil } from '../../test/support/until.ts'
import type { Hub, Room } from '../src/types.ts'

/** What a tab's own script has. */
interface TabWindow extends Window {
  hub: Hub
  room: Room
  /** What is said in the room, with the milliseconds since 1970 when it was seen. */
  seen: [content: unknown, atMs: number][]
}

const RULES = JSON.stringify([{ match: '*', presence: { lingerMs: 0, intervalMs: 10 } }])

async function serverFor(t: Test, env: Env = {}): Promise<Server> {
  const server = await startServer({ NODE_ENV: 'development', ROOM_RULES: RULES, ...env })
  t.teardown(() => server.stop())
  return server
}

/** A tab of a browser, in the room `r`. */
async function openTab(context: BrowserContext, server: Server, user: string, options = {}): Promise<Page> {
  const page = await context.newPage()
  await page.route('**/token', (route) => route.fulfill({ body: tokenFor(user) }))
  await page.goto(server.url('/health/live'))
  await page.evaluate(`(async () => {
    const { connect } = await import('/client-tabs.js')
    window.seen = []
    window.hub = connect('/', { token: () => fetch('/token').then((answer) => answer.text()) })
    window.room = hub.room('r', ${JSON.stringify(options)})
    room.on('message', ({ content }) => seen.push([content, Date.now()]))
    await new Promise((resolve) => room.on('joined', resolve))
  })()`)
  return page
}

const say = (page: Page, content: unknown, keep = true) =>
  page.evaluate(({ content, keep }) => (window as unknown as TabWindow).room.publish(content, { keep }), {
    content,
    keep,
  })
const seenBy = (page: Page) => page.evaluate(() => (window as unknown as TabWindow).seen)
const contents = async (page: Page) => (await seenBy(page)).map(([content]) => content)
const clients = async (server: Server) => (await server.health()).clients
const numbers = (count: number) => Array.from({ length: count }, (_, n) => n)

t.test('three tabs of one user have one socket, and each sees what is said', async (t) => {
  const server = await serverFor(t)
  const context = await (await openBrowser(t)).newContext()
  const a = await openTab(context, server, 'ada')
  const bob = await connect(server, 'bob')
  await bob.join('r')
  await bob.publish('r', 'before')
  const b = await openTab(context, server, 'ada', { last: 1 })
  const c = await openTab(context, server, 'ada', { presence: true })
  t.equal(await clients(server), 2, "bob's, and that of all tabs")
  await bob.publish('r', 'one')
  t.match(await say(b, 'two'), { scope: 'cluster' })
  await say(c, 'cursor', false)
  await say(a, 'three')
  await pollUntil('all have all', async () => {
    const [ofA, ofB, ofC] = await Promise.all([a, b, c].map(contents))
    return ofA?.length === 5 && ofB?.length === 5 && ofC?.length === 3
  })
  t.strictSame(await contents(a), ['before', 'one', 'two', 'cursor', 'three'])
  t.strictSame(await contents(b), ['before', 'one', 'two', 'cursor', 'three'])
  t.strictSame(await contents(c), ['one', 'two', 'three'], 'what is not kept is not shown to its own tab')
  t.equal(await c.evaluate(() => (window as unknown as TabWindow).room.count), 2, 'users, not tabs')

  await b.evaluate(() => (window as unknown as TabWindow).room.leave())
  await c.close()
  await bob.publish('r', 'four')
  await pollUntil('the tab that is left is in the room', async () => (await contents(a)).includes('four'))
  t.notOk((await contents(b)).includes('four'))
  await a.evaluate(() => (window as unknown as TabWindow).hub.close())
  await b.evaluate(() => (window as unknown as TabWindow).hub.close())
  await pollUntil('their socket is closed', async () => (await clients(server)) === 1)
  await bob.close()
})

t.test('tabs of two users have two sockets', async (t) => {
  const server = await serverFor(t)
  const context = await (await openBrowser(t)).newContext()
  const a = await openTab(context, server, 'ada')
  const b = await openTab(context, server, 'bob')
  t.equal(await clients(server), 2)
  await say(a, 'hello')
  await pollUntil('it is seen', async () => (await contents(b)).length === 1)
  const users = await Promise.all(
    [a, b].map((page) => page.evaluate(() => (window as unknown as TabWindow).hub.state)),
  )
  t.match(users, [{ user: 'ada' }, { user: 'bob' }])
})

for (const [how, end] of [
  ['closed', (page: Page) => page.close()],
  ['crashed', (page: Page) => page.goto('chrome://crash').catch(() => {})],
] as const)
  t.test(
    `the tab with the socket is ${how}: the others go on, with nothing lost and nothing twice`,
    async (t) => {
      const server = await serverFor(t)
      const context = await (await openBrowser(t)).newContext()
      const leader = await openTab(context, server, 'ada')
      const others = [await openTab(context, server, 'ada'), await openTab(context, server, 'ada')]
      const bob = await connect(server, 'bob')
      await bob.join('r')
      let sent = 0
      const isOver = { is: false }
      const publishing = (async () => {
        for (; !isOver.is; await pace(5)) await bob.publish('r', sent++)
      })()
      await pollUntil('they see it', async () => (await contents(others[1] as Page)).length > 20)
      const [own] = await Promise.all([
        Promise.allSettled(numbers(20).map((n) => say(others[0] as Page, `own ${n}`))),
        end(leader),
      ])
      t.ok(
        own.every(({ status }) => status === 'fulfilled'),
        'what is on its way when the tab goes is sent again',
      )
      await pace(300)
      isOver.is = true
      await publishing
      for (const page of others) {
        const isAll = async () => (await contents(page)).length >= sent + 20
        await pollUntil('they have all', isAll)
        const seen = await seenBy(page)
        const said = seen.map(([content]) => content)
        t.strictSame(
          said.filter((content) => typeof content === 'number'),
          numbers(sent),
        )
        t.equal(said.length, sent + 20)
        t.equal(new Set(said).size, said.length, 'nothing twice')
        const gaps = seen.slice(1).map(([, atMs], index) => atMs - (seen[index]?.[1] ?? 0))
        t.comment(`longest gap ${Math.max(...gaps)} ms`)
      }
      t.equal(await clients(server), 2)
      await bob.close()
    },
  )

t.test('a tab with the socket that is frozen loses it to another', async (t) => {
  const server = await serverFor(t, { PING_INTERVAL_MS: '1000', PONG_TIMEOUT_MS: '5000' })
  const context = await (await openBrowser(t)).newContext()
  const leader = await openTab(context, server, 'ada')
  const other = await openTab(context, server, 'ada')
  const bob = await connect(server, 'bob')
  await bob.join('r')
  const devTools = await context.newCDPSession(leader)
  await devTools.send('Page.setWebLifecycleState', { state: 'frozen' })
  for (const n of numbers(5)) await bob.publish('r', n)
  await pollUntil('the other tab has them', async () => (await contents(other)).length === 5)
  await devTools.send('Page.setWebLifecycleState', { state: 'active' })
  await bob.publish('r', 5)
  for (const page of [leader, other])
    await pollUntil('both have all', async () => (await contents(page)).length === 6)
  t.strictSame(await contents(leader), numbers(6))
  t.strictSame(await contents(other), numbers(6))
  await pollUntil('there is one socket again', async () => (await clients(server)) === 2)
  await bob.close()
})

t.test(
  'case 39: where the browser keeps storage and locks from a page, it has a socket of its own',
  async (t) => {
    const server = await serverFor(t)
    const page = await (await openBrowser(t)).newPage()
    await page.goto(server.url('/health/live'))
    // Of no origin, as a page in a sandbox is: what touches storage throws.
    const isForbidden = await page.evaluate(`new Promise((resolve) => {
    const frame = document.createElement('iframe')
    frame.sandbox = 'allow-scripts'
    frame.srcdoc = \`<script type="module">
      import { connect } from '${server.url('/client-tabs.js')}'
      const hub = connect('${server.url('/')}', { token: '${tokenFor('ada')}' })
      let isForbidden = false
      try { localStorage.length } catch { isForbidden = true }
      hub.room('r').publish('hello').then(() => parent.postMessage(isForbidden, '*'))
    </script>\`
    addEventListener('message', ({ data }) => resolve(data))
    document.body.append(frame)
  })`)
    t.equal(isForbidden, true)
    t.equal(await clients(server), 1)
  },
)
