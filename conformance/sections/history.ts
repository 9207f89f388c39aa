import { check, section } from '../check.ts'
import { expectEqual, expectFields, expectTrue } from '../expect.ts'
import type { Envelope } from '../mailbox.ts'
import type { Session } from '../session.ts'
import { positionIn, type Visit } from '../visit.ts'

/** A member of a room with so many messages, and the position ahead of them. */
async function filled(visit: Visit, count: number) {
  const room = visit.room()
  const client = await visit.connect()
  const start = positionIn(await client.join(room))
  await visit.said(room, count)
  const live = await client.messages(count)
  const ask = (more: object = {}) => read(client, room, more)
  return { room, client, start, live, ask }
}

async function read(client: Session, room: string, more: object) {
  const history = await client.ask({ type: 'history', room, ...more })
  expectFields(history, { type: 'history', room }, 'the answer')
  const { messages } = history
  expectTrue(Array.isArray(messages), 'it has no list of messages')
  return { history, contents: (messages as Envelope[]).map(({ content }) => content) }
}

export const history = section('history', [
  check('has the newest messages, in order, and where the history ends', async (visit) => {
    const { ask, start } = await filled(visit, 4)
    const { history, contents } = await ask()
    expectEqual(contents, [1, 2, 3, 4], 'the messages')
    expectFields(history, { epoch: start.epoch, offset: start.offset + 4 }, 'history')
  }),
  check('has `limit` messages at most, the newest', async (visit) => {
    const { ask } = await filled(visit, 4)
    expectEqual((await ask({ limit: 2 })).contents, [3, 4], 'the messages')
  }),
  check('with `since` it has the oldest after that', async (visit) => {
    const { ask, start } = await filled(visit, 4)
    const since = { ...start, offset: start.offset + 1 }
    expectEqual((await ask({ since, limit: 2 })).contents, [2, 3], 'the messages')
    expectEqual((await ask({ since: { ...start, offset: start.offset + 4 } })).contents, [], 'the messages')
  }),
  check('with a `since` that cannot be taken up it has none', async (visit) => {
    const { ask } = await filled(visit, 2)
    expectEqual((await ask({ since: { epoch: 'another', offset: 0 } })).contents, [], 'the messages')
  }),
  check('its messages are those that came live', async (visit) => {
    const { ask, live } = await filled(visit, 3)
    expectEqual((await ask()).history.messages, live, 'the messages')
  }),
  check('is for members only', async (visit) => {
    const { room } = await filled(visit, 1)
    await (await visit.connect()).refused({ type: 'history', room }, 'not_member')
  }),
  check('fields of the wrong type are bad_envelope', async (visit) => {
    const room = visit.room()
    const client = await visit.member(room)
    for (const more of [{ limit: 0 }, { limit: 'all' }, { limit: 1.5 }, { since: 1 }, { since: {} }])
      await client.refused({ type: 'history', room, ...more }, 'bad_envelope')
  }),
])
