import t from 'tap'
import { headOf, type Live, replayed, senderOf, withoutOffset } from '../../src/hub/live.ts'
import { messageHead, messageText } from '../../src/protocol/codec.ts'

const position = { epoch: 'e', offset: 120 }
const contents = [
  '1',
  '"\\"from\\":{\\"client\\":\\"x\\""',
  '{"from":{"client":"x","user":"y"},"at":1}',
  '"é\u{1f600}"',
  '[",\\"offset\\":120}"]',
]

t.test('a message goes on without its offset, whatever its content', async (t) => {
  for (const content of contents) {
    const head = messageHead('r', content, { client: 'c', user: 'u' }, 5)
    for (const text of [messageText(head, 120), Buffer.from(messageText(head, 120))]) {
      const live: Live = { ...replayed(text, position, undefined), kind: 'live' }
      t.equal(String(headOf(live)), head)
      const late = withoutOffset(live)
      t.equal(String(late.text), messageText(head, undefined))
      t.equal(late.frame.subarray(late.frame.length - Buffer.byteLength(`${head}}`)).toString(), `${head}}`)
      t.equal(String(headOf(late)), head)
      t.equal(withoutOffset(late), late)
      t.equal(late.position, position, 'its place is still known here')
    }
  }
})

t.test('who sent a message of the history is read from its end', async (t) => {
  const users = ['u', '"from":{"client":"x"', '","at":7', '\\', 'é']
  for (const content of contents)
    for (const user of users) {
      const text = messageText(
        messageHead('r', content, { client: 'the-client', user }, 1_700_000_000_000),
        3,
      )
      for (const one of [text, Buffer.from(text)]) t.equal(senderOf(one), 'the-client', text)
    }
})
