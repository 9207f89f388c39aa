// Takes docs/pictures/console*.png, of a server with some life in it; a part of `npm run pictures`, after a build.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { createSigner } from 'fast-jwt'
import { chromium } from 'playwright-core'
import { WebSocket } from 'ws'

const PORT = '18180'
/** In each chart. */
const READINGS = 15
const [secret, apiKey] = ['for-the-pictures-only-0123456789abcdef', 'for-the-pictures-only']
const url = `127.0.0.1:${PORT}`
const rooms = ['lobby', 'support', 'orders.eu', 'orders.us', 'cursors.board']
const words = ['hello!', 'good morning', 'is anybody here?', 'shipped', 'on my way', 'thanks']
const tokenOf = (sub: string) => createSigner({ key: secret, expiresIn: 600_000 })({ sub })

const server = spawn(process.execPath, ['dist/src/server.js'], {
  env: {
    ...{ PATH: process.env.PATH, PORT, NODE_ENV: 'development', JWT_SECRET: secret },
    ...{ API_KEYS: `ops:${apiKey}`, ROOM_RULES: '[{"match":"*","presence":{"lingerMs":0}}]' },
  },
  stdio: ['ignore', 'pipe', 'inherit'],
})
process.on('exit', () => server.kill('SIGKILL'))
for await (const text of server.stdout) if (String(text).includes('listening')) break

const sockets = Array.from(
  { length: 60 },
  (_, n) => new WebSocket(`ws://${url}/ws?token=${tokenOf(`user${n}`)}`),
)
await Promise.all(sockets.map((socket) => once(socket, 'open')))
for (const [n, socket] of sockets.entries())
  socket.send(JSON.stringify({ type: 'join', room: rooms[n % rooms.length] }))
let n = 0
const talking = setInterval(() => {
  const at = n++ % sockets.length
  const content = words[n % words.length]
  sockets[at]?.send(JSON.stringify({ type: 'message', room: rooms[at % rooms.length], content }))
}, 10)

mkdirSync('docs/pictures', { recursive: true })
const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] })
for (const [name, width, height, scheme] of [
  ['console', 1400, 720, 'light'],
  ['console-narrow', 400, 850, 'dark'],
] as const) {
  const page = await browser.newPage({ viewport: { width, height }, colorScheme: scheme })
  await page.goto(`http://${url}/console`)
  await page.fill('#login input', apiKey)
  await page.click('#login button')
  // Some readings for the charts' lines.
  const readings = async () =>
    (await page.locator('figure:nth-child(3) polyline:not(.second)').getAttribute('points'))?.split(' ')
      .length ?? 0
  while ((await readings()) < READINGS) await page.waitForTimeout(500)
  await page.screenshot({ path: `docs/pictures/${name}.png` })
  if (name !== 'console') continue
  await page.click('nav a[href="#clients"]')
  await page.locator('#clients-found tbody tr').nth(19).waitFor()
  await page.screenshot({ path: 'docs/pictures/console-clients.png' })
}
clearInterval(talking)
await browser.close()
server.kill('SIGKILL')
process.exit(0)
