// Compiled by typed.test.ts alone: with its rules declared, an app's publish takes what they allow, and nothing else.
import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import type { RulesInput } from '../../../src/app.ts'

const rules = {
  'orders.eu.*': { content: z.object({ vat: z.string() }) },
  'orders.*': { content: z.object({ id: z.number(), note: z.string().optional() }) },
  'chat:*:typing': { content: z.object({ isTyping: z.boolean() }) },
  score: { content: z.tuple([z.number(), z.number()]) },
  'news*': { publish: 'server' },
} satisfies RulesInput

declare module '../../../src/app.ts' {
  interface Register {
    rules: typeof rules
  }
}

declare const app: FastifyInstance
declare const room: string
declare const order: `orders.${number}`

app.hub.publish('orders.1', { id: 1 })
app.hub.publish('orders.1', { id: 1, note: 'x' }, { user: 'shop' })
app.hub.publish(order, { id: 1 })
app.hub.publish('orders.eu.1', { vat: 'DE1' })
app.hub.publish('chat:7:typing', { isTyping: true })
app.hub.publish('score', [1, 2])
app.hub.publish('news.today', { anything: true })
app.hub.publish('elsewhere', 'anything')
app.hub.publish(room, { whatever: 1 })
app.hub.publish('score', [1, 2], { keep: false })

// @ts-expect-error a field is missing
app.hub.publish('orders.1', {})
// @ts-expect-error of the wrong type
app.hub.publish('orders.1', { id: '1' })
// @ts-expect-error a field that there is not
app.hub.publish('orders.1', { id: 1, price: 2 })
// @ts-expect-error also where only the room's pattern is known
app.hub.publish(order, { vat: 'DE1' })
// @ts-expect-error the rule that fits most closely
app.hub.publish('orders.eu.1', { id: 1 })
// @ts-expect-error a star in the middle
app.hub.publish('chat:7:typing', { isTyping: 'yes' })
// @ts-expect-error too short
app.hub.publish('score', [1])
// @ts-expect-error no tuple
app.hub.publish('score', 1)
// @ts-expect-error nothing at all
app.hub.publish('score')
// @ts-expect-error no such option
app.hub.publish('score', [1, 2], { kept: false })
