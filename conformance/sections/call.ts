import { check, section } from '../check.ts'
import { expectFields } from '../expect.ts'

export const call = section('call', [
  check('of what the host does not know is unknown_method', async (visit) => {
    const client = await visit.connect()
    await client.refused({ type: 'call', method: visit.room(), params: { a: 1 } }, 'unknown_method')
  }),
  check('the error comes without an id too', async (visit) => {
    const client = await visit.connect()
    client.send({ type: 'call', method: visit.room() })
    const got = await client.mail.next('an error')
    expectFields(got, { type: 'error', code: 'unknown_method', id: undefined }, 'what came')
  }),
  check('`method` has 1 to 128 characters, else it is bad_envelope', async (visit) => {
    const client = await visit.connect()
    for (const method of ['', 'm'.repeat(129), 5, null, undefined])
      await client.refused({ type: 'call', method }, 'bad_envelope')
  }),
  check('what was sent behind it is answered behind it', async (visit) => {
    const client = await visit.connect()
    client.send({ type: 'call', method: visit.room(), id: 1 })
    client.send({ type: 'ping', id: 2 })
    for (const id of [1, 2]) expectFields(await client.mail.next('an answer'), { id }, 'the next answer')
  }),
])
