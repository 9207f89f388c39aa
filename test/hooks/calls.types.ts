// Right and wrong uses of hooks and calls; a wrong one that compiles is an error of the compiler's.
import Fastify from 'fastify'
import { z } from 'zod'
import roomcast, { defineCall } from '../../src/app.ts'

const app = Fastify()
const order = z.object({ id: z.coerce.number(), note: z.string().optional() })

export const right = [
  app.register(roomcast, { hooks: {} }),
  app.register(roomcast, { hooks: 'join, publish', hookUrl: 'http://a', hookSecret: 'whsec_' }),
  app.register(roomcast, { hooks: 'connect' }),
  app.register(roomcast, {
    hooks: { connect: ({ claims, request }) => ({ info: [claims.plan, request.ip] }) },
  }),
  app.register(roomcast, { hooks: { connect: async () => ({ can: { join: ['*'] }, rooms: ['a'] }) } }),
  app.register(roomcast, { hooks: { join: ({ room }) => (room === 'a' ? { refuse: 'no' } : undefined) } }),
  app.register(roomcast, { hooks: { join: () => {} } }),
  app.register(roomcast, { hooks: { join: async () => {} } }),
  app.register(roomcast, {
    hooks: {
      join: async ({ user, signal }) => {
        await fetch(`http://a/${user}`, { signal })
        if (user === 'eve') return { refuse: 'no' }
      },
    },
  }),
  app.register(roomcast, {
    hooks: { publish: ({ room, content }) => ({ content: [room?.length, content] }) },
  }),
  app.register(roomcast, { calls: { time: () => Date.now(), later: async (params: unknown) => params } }),
  app.register(roomcast, {
    calls: {
      cancel: defineCall({
        params: order,
        handle: async ({ id, note }, { user, method }) => [id.toFixed(), note?.length, user, method],
      }),
    },
  }),
]

export const wrong = [
  // @ts-expect-error: no such hook
  app.register(roomcast, { hooks: { leave: () => {} } }),
  // @ts-expect-error: a hook says no by `refuse`
  app.register(roomcast, { hooks: { join: () => false } }),
  // @ts-expect-error: a reason is a text
  app.register(roomcast, { hooks: { join: () => ({ refuse: true }) } }),
  // @ts-expect-error: a slip
  app.register(roomcast, { hooks: { join: async () => ({ refused: 'no' }) } }),
  // @ts-expect-error: a join has no content
  app.register(roomcast, { hooks: { join: ({ content }) => content } }),
  // @ts-expect-error: a broadcast has no room
  app.register(roomcast, { hooks: { publish: ({ room }) => ({ content: room.length }) } }),
  // @ts-expect-error: nobody has checked the content
  app.register(roomcast, { hooks: { publish: ({ content }) => ({ content: content.text }) } }),
  // @ts-expect-error: patterns are texts
  app.register(roomcast, { hooks: { connect: () => ({ can: { join: [1] } }) } }),
  // @ts-expect-error: names are a text
  app.register(roomcast, { hooks: ['join'] }),
  // @ts-expect-error: nobody has checked the params
  app.register(roomcast, { calls: { cancel: (params: { id: number }) => params.id } }),
  // @ts-expect-error: without defineCall nothing says that schema and handler fit
  app.register(roomcast, { calls: { cancel: { params: order, handle: () => 1 } } }),
  // @ts-expect-error: the schema makes a number of it
  defineCall({ params: order, handle: ({ id }) => id.toUpperCase() }),
  // @ts-expect-error: no such field
  defineCall({ params: order, handle: ({ name }) => name }),
  // @ts-expect-error: a note may be absent
  defineCall({ params: order, handle: ({ note }) => note.length }),
  // @ts-expect-error: no schema
  defineCall({ params: { id: 1 }, handle: () => 1 }),
]
