// Compiled by typed.test.ts alone: what a list of rules lets publish.
import { z } from 'zod'
import type { ContentOf } from '../../../src/rules/rules-input.ts'

const rules = [
  { match: 'orders.eu.*', content: z.object({ vat: z.string() }) },
  { match: 'orders.*', content: z.object({ id: z.number() }) },
  { match: 'news', publish: 'server' },
] as const
declare function publish<Room extends string>(room: Room, content: ContentOf<Room, typeof rules>): void

publish('orders.eu.1', { vat: 'x' })
publish('orders.1', { id: 1 })
publish('news', 'anything')
// @ts-expect-error the first rule that fits holds
publish('orders.eu.1', { id: 1 })
// @ts-expect-error
publish('orders.1', { vat: 'x' })
