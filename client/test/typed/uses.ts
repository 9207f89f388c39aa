// Compiled by package.test.ts alone, against the built declarations: what the compiler takes of a page.
import { connect, RoomcastError } from 'roomcast-client'

const hub = connect<
  { 'chat.*': { text: string }; 'cursors.*': [number, number]; 'chat.vip.*': { text: string; gold: true } },
  { 'orders.cancel': { params: { id: number }; result: boolean } }
>('/', { token: () => 'token' })

const chat = hub.room('chat.general', { last: 20, presence: true, reload: () => {} })
await chat.publish({ text: 'hi' })
await hub.room('cursors.1').publish([1, 2], { keep: false })
await hub.room('chat.vip.1').publish({ text: 'hi', gold: true })
for await (const { content, from } of chat) console.log(from.user, content.text)
chat.on('message', ({ content }) => content.text.toUpperCase())
chat.on('presence', ({ users }) => users?.map(({ user }) => user))
const cancelled: boolean = await hub.call('orders.cancel', { id: 7 })
hub.on('state', (state) => (state.name === 'waiting' ? state.retryInMs : cancelled))
const anything = connect('/', { token: 'x' })
await anything.room('whatever').publish({ any: 'thing' })
if (new RoomcastError('forbidden').code === 'forbidden') hub.close()

// @ts-expect-error no such room
hub.room('news')
// @ts-expect-error a wrong payload
await chat.publish({ txt: 'hi' })
// @ts-expect-error a payload of another room
await hub.room('cursors.1').publish({ text: 'hi' })
// @ts-expect-error the narrower pattern holds
await hub.room('chat.vip.1').publish({ text: 'hi' })
// @ts-expect-error too few
await hub.room('cursors.1').publish([1])
// @ts-expect-error no such call
await hub.call('orders.make', { id: 7 })
// @ts-expect-error a wrong parameter
await hub.call('orders.cancel', { id: '7' })
// @ts-expect-error a token is needed
connect('/', {})
// @ts-expect-error no such event
chat.on('massage', () => {})
// @ts-expect-error no such code
if (new RoomcastError('forbidden').code === 'forbiden') hub.close()
