import { check, section } from '../check.ts'
import { expectEqual, expectFields } from '../expect.ts'
import { closeCode, FINAL_TEXT, frame, RESERVED_OPCODE } from '../frames.ts'

const PING = '{"type":"ping"}'

export const closeCodes = section('Close codes', [
  check('1002: a frame without a mask', async (visit) => {
    const socket = await visit.rawSocket()
    socket.write(frame(FINAL_TEXT, PING, false))
    expectEqual(await closeCode(socket, visit.target.timeoutMs), 1002, 'the code')
  }),
  check('1002: an opcode that there is not', async (visit) => {
    const socket = await visit.rawSocket()
    socket.write(frame(RESERVED_OPCODE, PING))
    expectEqual(await closeCode(socket, visit.target.timeoutMs), 1002, 'the code')
  }),
  check('1003: binary data', async (visit) => {
    const client = await visit.connect()
    client.socket.send(Buffer.from([1, 2, 3]))
    await client.expectClosed(1003)
  }),
  check('1007: text that is not UTF-8', async (visit) => {
    const client = await visit.connect()
    client.socket.send(Buffer.from([0x22, 0xff, 0x22]), { binary: false })
    await client.expectClosed(1007)
  }),
  check('4401: the token has expired', async (visit) => {
    const client = await visit.connect({ claims: { exp: Math.floor(Date.now() / 1000) + 2 } })
    await client.expectClosed(4401, Number(client.welcome.expiresInMs) + visit.target.timeoutMs)
  }),
  check('the client’s own Close is answered with its code', async (visit) => {
    const client = await visit.connect()
    client.close()
    await client.expectClosed(1000)
  }),
  check('what was sent ahead of the Close is carried out', async (visit) => {
    const room = visit.room()
    const [client, listener] = [await visit.member(room), await visit.member(room)]
    client.send({ type: 'message', room, content: 'last' })
    client.close()
    await client.expectClosed(1000)
    expectFields(await listener.message(), { content: 'last' }, 'the message')
  }),
  check('a ping of RFC 6455 is answered with its own payload', async (visit) => {
    const client = await visit.connect()
    client.socket.ping('payload')
    expectEqual(await client.heard('pong'), 'payload', 'the payload of the pong')
  }),
])
