// The chat of examples/chat: two people in two browsers.
import { readFileSync } from 'node:fs'
import t from 'tap'
import { openBrowser } from '../support/browser.ts'
import { startExample } from '../support/example.ts'
import { freePort } from '../support/free-port.ts'
import { startProgram } from '../support/program.ts'

t.test('two people see each other, that one types, what is said, and what was said before', async (t) => {
  const { url } = await startExample(t, 'chat')
  const browser = await openBrowser(t)
  const faults: string[] = []
  const enter = async (user: string) => {
    const page = await browser.newPage()
    page.on('pageerror', ({ message }) => faults.push(message))
    await page.goto(`${url}/?user=${user}`)
    await page.locator('#users li', { hasText: user }).waitFor()
    return page
  }
  const ada = await enter('ada')
  const bob = await enter('bob')
  await ada.locator('#users li', { hasText: 'bob' }).waitFor()

  const typing = bob.locator('#typing', { hasText: 'ada typing' }).waitFor()
  await ada.getByLabel('Message').fill('hello, <b>bob</b>')
  await typing
  await ada.getByRole('button', { name: 'Send' }).click()
  await bob.locator('#messages li', { hasText: 'hello, <b>bob</b>' }).waitFor()
  await bob.locator('#typing:empty').waitFor({ state: 'attached' })

  const refusal = await bob.evaluate(`(async () => {
    const token = await (await fetch('/token?user=eve')).text()
    const socket = new WebSocket('ws://' + location.host + '/ws?token=' + token)
    const answer = new Promise((resolve) => {
      socket.onmessage = ({ data }) => JSON.parse(data).id === 1 && resolve(data)
    })
    await new Promise((resolve) => { socket.onopen = resolve })
    socket.send(JSON.stringify({ type: 'join', room: 'chat.general' }))
    socket.send(JSON.stringify({ type: 'message', room: 'chat.general', content: 'no object', id: 1 }))
    return answer
  })()`)
  t.match(refusal, /bad_content/, 'what the page could not read does not reach it')

  const cleo = await enter('cleo')
  await cleo.locator('#messages li', { hasText: 'hello, <b>bob</b>' }).waitFor()
  t.equal(await cleo.locator('#messages li').count(), 1, 'typing is not in the history')
  t.strictSame(faults, [])
})

t.test('its picture is made by npm run pictures:chat', async (t) => {
  const folder = t.testdir({})
  const env = { PORT: String(await freePort()) }
  const pictures = startProgram(t, 'npm', ['run', 'pictures:chat', '--', folder], { env })
  t.equal(await pictures.exited(90_000), 0, pictures.stderr)
  t.equal(readFileSync(`${folder}/chat.png`).toString('latin1', 1, 4), 'PNG')
})
