// npm run pictures:chat: starts the chat, lets three people talk, and takes docs/pictures/chat.png.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { chromium, type Page } from 'playwright-core'

const folder = process.argv[2] ?? 'docs/pictures'
const viewport = { width: 900, height: 520 }
const example = spawn(process.execPath, ['scripts/example.mjs', 'chat'], {
  stdio: ['ignore', 'pipe', 'inherit'],
})
const ended = once(example, 'exit')
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu'],
})
try {
  const url = await firstUrl()
  const [ada, bob, cleo] = [await enter(url, 'ada'), await enter(url, 'bob'), await enter(url, 'cleo')]
  await say(ada, 'Is the new release out?')
  await say(bob, 'Since ten this morning. Nobody has lost a message.')
  await say(cleo, 'I restarted a node to see, and the page came back by itself.')
  await say(ada, 'Then lunch is on me.')
  const isTyping = ada.locator('#typing', { hasText: 'bob typing' }).waitFor()
  await bob.getByLabel('Message').pressSequentially('Pizza')
  await isTyping
  mkdirSync(folder, { recursive: true })
  await ada.screenshot({ path: `${folder}/chat.png` })
  console.log(`${folder}/chat.png`)
} finally {
  await browser.close()
  example.kill()
  await ended
}

async function firstUrl(): Promise<string> {
  for await (const line of createInterface({ input: example.stdout })) {
    const [url] = /http:\/\/[\d.:]+/.exec(line) ?? []
    if (url !== undefined) return url
  }
  throw new Error('the chat has not started')
}

async function enter(url: string, user: string): Promise<Page> {
  const page = await browser.newPage({ viewport, deviceScaleFactor: 2 })
  await page.goto(`${url}/?user=${user}`)
  await page.locator('#users li', { hasText: user }).waitFor()
  return page
}

async function say(page: Page, text: string): Promise<void> {
  await page.getByLabel('Message').fill(text)
  await page.getByRole('button', { name: 'Send' }).click()
  await page.locator('#messages li', { hasText: text }).waitFor()
}
