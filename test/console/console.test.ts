// GET /console in a real Chromium: what it shows, that it is usable by everybody, and that it is off in production.
import { gzipSync } from 'node:zlib'
import t from 'tap'
import { API_SECRET } from '../support/api.ts'
import { connect } from '../support/client.ts'
import { barriers, openConsole, openView, overflows } from '../support/console-page.ts'
import { ask, connectCrowd } from '../support/crowd.ts'
import { startServer } from '../support/server.ts'
import { tokenFor } from '../support/token.ts'

const MOST_BYTES = 24 * 1024
const ENV = {
  ...{ NODE_ENV: 'development', API_KEYS: `ops:${API_SECRET}`, SHUTDOWN_GRACE_MS: '500' },
  ROOM_RULES: JSON.stringify([{ match: '*', presence: { lingerMs: 0, intervalMs: 10 } }]),
}
const VIEWS = ['overview', 'rooms', 'clients', 'talk']

t.test('the console', async (t) => {
  const server = await startServer(ENV)
  t.teardown(() => server.stop())
  const ada = await connect(server, 'ada')
  await ada.join('lobby')
  await ada.publish('lobby', { text: '<b>hello</b>' })
  const { page, faults } = await openConsole(t, server)

  await t.test('shows nodes and figures', async (t) => {
    await page.locator('#nodes tr', { hasText: 'memory, up' }).waitFor()
    t.equal(await page.locator('#charts figure').count(), 8)
    // These need a second look: rates, and a watch that begins with the first.
    for (const title of ['Published a second', 'Event loop held up'])
      await page.locator('figure', { hasText: title }).locator('output', { hasText: /\d/ }).waitFor()
  })

  await t.test('shows rooms, and what was said in one, as text', async (t) => {
    await openView(page, 'rooms')
    await page.fill('#find-rooms input', 'zzz')
    await page.locator('#rooms-found', { hasText: 'No room has members.' }).waitFor()
    await page.fill('#find-rooms input', 'lob')
    await page.locator('#rooms-found').getByRole('link', { name: 'lobby' }).click()
    await page.locator('#room li', { hasText: 'ada: {"text":"<b>hello</b>"}' }).waitFor()
    t.equal(await page.locator('#room b').count(), 0)
    await page.locator('#room td', { hasText: 'ada' }).first().waitFor()
    t.match(await page.title(), /lobby/)
    await page.goBack()
    await page.locator('#rooms-found').waitFor()
  })

  await t.test('talks in two panes, and comes back when its connection is cut', async () => {
    await openView(page, 'talk')
    await page.fill('#join [name=token]', tokenFor('me'))
    await page.fill('#join [name=room]', 'lobby')
    await page.click('#join button')
    const [one, two] = [page.locator('article').first(), page.locator('article').last()]
    await one.locator('li', { hasText: 'in the room' }).waitFor()
    await two.locator('li', { hasText: 'in the room' }).waitFor()
    await one.locator('p', { hasText: '2 here: ' }).waitFor()
    await one.getByLabel('What One says').fill('hi there')
    await one.getByRole('button', { name: 'Say' }).click()
    await two.locator('li', { hasText: 'me: hi there' }).waitFor()
    await one.getByRole('button', { name: 'Cut my connection' }).click()
    await one.locator('li', { hasText: 'waiting' }).waitFor()
    await ada.publish('lobby', 'while you were away')
    await one.locator('li', { hasText: 'came after' }).last().waitFor()
    await one.locator('li', { hasText: 'while you were away' }).waitFor()
  })

  await t.test('finds clients by a part of a name, by room and by id', async (t) => {
    const lone = await connect(server, 'lone')
    const found = page.locator('#clients-found tbody tr')
    await openView(page, 'clients')
    await found.filter({ hasText: 'ada' }).waitFor()
    await page.fill('#find-clients [name=who]', 'AD')
    await page.locator('#clients-found', { hasText: /(?<!\d)1 client, / }).waitFor()
    await found.filter({ hasText: 'ada' }).waitFor()
    await page.fill('#find-clients [name=room]', 'another')
    await page.locator('#clients-found', { hasText: 'Nobody of that name is in the room.' }).waitFor()
    await page.fill('#find-clients [name=room]', '')
    // Who is in no room is found by its whole name, or by its id.
    for (const who of ['lone', String(lone.welcome.client)]) {
      await page.fill('#find-clients [name=who]', who)
      await found.filter({ hasText: 'lone' }).waitFor()
    }
    t.match(await found.first().textContent(), /websocket/)
    await lone.close()
  })

  await t.test('shows one client, and disconnects it when somebody is sure', async (t) => {
    await openView(page, 'clients', String(ada.welcome.client))
    await page.locator('#client dd', { hasText: 'ada' }).waitFor()
    t.equal(await page.locator('#client figure').count(), 4)
    const end = page.locator('#client').getByRole('button', { name: 'Disconnect' })
    await end.click()
    await page.keyboard.press('Escape')
    await end.click()
    await page.locator('#sure').getByRole('button', { name: 'Disconnect' }).click()
    t.equal((await ada.closed()).code, 4403)
    await page.locator('#client', { hasText: 'not connected any more' }).waitFor()
  })

  await t.test('needs no mouse', async () => {
    await openView(page, 'overview')
    await page.locator('nav a[href="#overview"]').focus()
    await page.keyboard.press('Tab')
    await page.keyboard.press('Enter')
    await page.locator('#view-rooms').waitFor()
    await page.locator('#rooms-found tbody a').first().waitFor()
    await page.locator('#rooms-found th button').first().focus()
    await page.keyboard.press('Enter')
    await page.locator('#rooms-found th[aria-sort=ascending]').waitFor()
    await page.locator('#rooms-found tbody a').first().focus()
    await page.keyboard.press('Enter')
    await page.locator('#room h3', { hasText: 'Members' }).waitFor()
  })

  await t.test('has no serious barrier, wide and narrow, in light and dark', async (t) => {
    for (const [width, colorScheme] of [
      [1400, 'light'],
      [400, 'dark'],
    ] as const) {
      await page.setViewportSize({ width, height: 850 })
      await page.emulateMedia({ colorScheme })
      for (const view of VIEWS) {
        await openView(page, view)
        t.strictSame(await barriers(page), [], `${view}, ${width}, ${colorScheme}`)
        t.equal(await overflows(page), false, `nothing of ${view} is cut off at ${width}`)
      }
      await openView(page, 'rooms', 'lobby')
      await page.locator('#room h3', { hasText: 'Members' }).waitFor()
      t.strictSame(await barriers(page), [], `a room, ${width}, ${colorScheme}`)
    }
  })

  await t.test('a wrong key is told, and nothing is kept', async (t) => {
    await page.reload()
    t.equal(await page.inputValue('#login input'), '')
    t.strictSame(await page.evaluate('[localStorage.length, sessionStorage.length, document.cookie]'), [
      0,
      0,
      '',
    ])
    await page.fill('#login input', 'not-the-secret-of-it')
    await page.click('#login button')
    await page.locator('#said', { hasText: 'the secret of an API key' }).waitFor()
    t.equal(await page.locator('#view-overview').isVisible(), false)
  })

  // The browser's own words of the wrong key, and of a client that is gone.
  t.strictSame(
    faults.filter((text) => !/401|404/.test(text)),
    [],
  )
})

t.test(
  'the console is small, has no outside part, and is off in production unless it is wanted',
  async (t) => {
    const server = await startServer({ ...ENV, NODE_ENV: 'production' })
    t.teardown(() => server.stop())
    t.equal((await fetch(server.url('/console'))).status, 404)
    const wanted = await startServer({ ...ENV, NODE_ENV: 'production', CONSOLE: 'true' })
    t.teardown(() => wanted.stop())
    let bytes = 0
    for (const path of ['/console', '/console/console.js', '/console/console.css']) {
      const answer = await fetch(wanted.url(path))
      t.equal(answer.status, 200)
      t.match(answer.headers.get('content-security-policy'), /default-src 'none'/)
      const text = await answer.text()
      t.notMatch(text.replaceAll('http://www.w3.org/2000/svg', ''), /(src|href)="?https?:/)
      bytes += gzipSync(text).length
    }
    t.comment(`${bytes} bytes`)
    t.ok(bytes <= MOST_BYTES, `${bytes} bytes, gzipped`)
  },
)

t.test('pages of rooms lead on and back, and a search goes through all of them', async (t) => {
  const server = await startServer({ ...ENV, CONNECT_RATE_MAX: '0' })
  t.teardown(() => server.stop())
  const clients = await connectCrowd(server, 120, [], () => ({}))
  for (const [at, client] of clients.entries())
    await ask(client, { type: 'join', room: `room-${String(at).padStart(3, '0')}` })
  const { page } = await openConsole(t, server)
  await page.locator('#nodes tr', { hasText: '120' }).waitFor()
  await openView(page, 'rooms')
  const rooms = page.locator('#rooms-found')
  for (const [button, first] of [
    ['Next', 'room-050'],
    ['Next', 'room-100'],
    ['Previous', 'room-050'],
  ] as const) {
    await rooms.getByRole('button', { name: button }).click()
    await rooms.locator('tbody tr').first().filter({ hasText: first }).waitFor()
  }
  await openView(page, 'clients')
  await page.locator('#clients-found', { hasText: '50 clients' }).waitFor()
  await page.locator('#clients-found').getByRole('button', { name: 'Show more' }).click()
  await page.locator('#clients-found', { hasText: '100 clients' }).waitFor()
  await page.fill('#find-clients [name=who]', 'crowd-11')
  // crowd-11, and crowd-110 to crowd-119 of the last rooms.
  await page.locator('#clients-found', { hasText: '11 clients, 120 rooms looked into.' }).waitFor()
  await Promise.all(clients.map((client) => client.close()))
})

t.test('of an empty server it says so, and why nobody gets in without a key', async (t) => {
  const server = await startServer(ENV)
  t.teardown(() => server.stop())
  const { page, faults } = await openConsole(t, server, 400)
  await page.locator('figure', { hasText: 'Clients' }).locator('output', { hasText: /^0$/ }).waitFor()
  await openView(page, 'rooms')
  await page.locator('#rooms-found', { hasText: 'No room has members.' }).waitFor()
  await openView(page, 'clients')
  await page.locator('#clients-found', { hasText: 'No room has such a client.' }).waitFor()
  t.strictSame(await barriers(page), [])
  await page.click('#forget')
  await page.locator('#login').waitFor()
  t.strictSame(faults, [])
})
