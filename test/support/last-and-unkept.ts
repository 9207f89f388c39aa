// What a join with `last` brings, and what becomes of messages that are not kept (PROTOCOL.md), the same on every bridge.
import { randomUUID } from 'node:crypto'
import type { Test } from 'tap'
import type { Client, Envelope } from './client.ts'
import type { Nodes } from './recovery-contract.ts'
import { pace } from './until.ts'

/** Rules of their own for some rooms. */
export const RULES = JSON.stringify([
  { match: 'small *', history: { size: 3 } },
  { match: 'none *', history: { size: 0 } },
])

const newRoom = (kind = 'room') => `${kind} ${randomUUID()}`
const messagesIn = (envelopes: Envelope[]) => envelopes.filter(({ type }) => type === 'message')
const contentsOf = (envelopes: Envelope[]) => messagesIn(envelopes).map(({ content }) => content)

export async function givesLast(t: Test, nodes: Nodes): Promise<void> {
  const room = newRoom()
  const [a, b] = [await nodes.connect('a'), await nodes.connect('b')]
  const joinWith = async (more: object) => {
    const joined = await b.request({ type: 'join', room, ...more })
    return { joined, contents: contentsOf(await b.fence()) }
  }
  const { epoch } = await a.join(room)
  const empty = await joinWith({ last: 5 })
  t.match(empty, { joined: { offset: 0, missed: 0, recovered: undefined }, contents: [] })
  for (const n of [1, 2, 3, 4, 5]) await a.publish(room, n)
  await b.next(({ offset, type }) => type === 'message' && offset === 5)
  t.match(await joinWith({ last: 2 }), { joined: { missed: 2, offset: 5 }, contents: [4, 5] })
  t.match(await joinWith({ last: 1e9 }), { joined: { missed: 5 }, contents: [1, 2, 3, 4, 5] })
  const taken = await joinWith({ last: 2, since: { epoch, offset: 1 } })
  t.match(taken, { joined: { recovered: true, missed: 4 }, contents: [2, 3, 4, 5] }, 'since goes first')
  const lost = await joinWith({ last: 2, since: { epoch: 'x', offset: 1 } })
  t.match(lost, { joined: { recovered: false, missed: 2, epoch, offset: 5 }, contents: [4, 5] })
  for (const last of [0, -1, 1.5, '1', null])
    t.match(await b.request({ type: 'join', room, last }), { code: 'bad_envelope' })
  await nodes.close(a, b)
}

export async function keepsByRule(t: Test, nodes: Nodes): Promise<void> {
  const [a, b] = [await nodes.connect('a'), await nodes.connect('b')]
  const small = newRoom('small')
  const start = await a.join(small)
  for (const n of [1, 2, 3, 4, 5]) await a.publish(small, n)
  t.match(await b.request({ type: 'join', room: small, last: 100 }), { missed: 3, offset: 5 })
  t.same(contentsOf(await b.fence()), [3, 4, 5])
  t.match(await b.request({ type: 'history', room: small, limit: 100 }), { messages: { length: 3 } })
  for (const [offset, recovered] of [
    [1, false],
    [2, true],
  ] as const)
    t.match(await b.request({ type: 'join', room: small, since: { epoch: start.epoch, offset } }), {
      recovered,
    })
  const none = newRoom('none')
  t.notOk('offset' in (await a.join(none)), 'a history of 0 is none')
  await b.join(none)
  t.notOk('offset' in (await a.publish(none, 1)))
  t.match(await b.request({ type: 'join', room: none, last: 5 }), { missed: 0 })
  t.match(await b.request({ type: 'history', room: none }), { code: 'unavailable' })
  await nodes.close(a, b)
}

export async function forgetsUnkept(t: Test, nodes: Nodes): Promise<void> {
  const room = newRoom()
  const [a, b] = [await nodes.connect('a'), await nodes.connect('b')]
  const { epoch } = await a.join(room)
  await b.join(room)
  t.match(await a.publish(room, 'kept'), { offset: 1 })
  const ack = await a.publish(room, 'not kept', { keep: false })
  t.match(ack, { scope: 'cluster', offset: undefined })
  t.match(await a.publish(room, 'kept too'), { offset: 2 }, 'it leaves no gap')
  const got = messagesIn(await b.collectUntil(({ content }) => content === 'kept too'))
  t.same(
    got.map(({ content, offset }) => [content, offset]),
    [
      ['kept', 1],
      ['not kept', undefined],
      ['kept too', 2],
    ],
  )
  t.match(await b.request({ type: 'join', room, since: { epoch, offset: 0 } }), {
    recovered: true,
    missed: 2,
  })
  t.same(contentsOf(await b.fence()), ['kept', 'kept too'])
  t.match(await a.request({ type: 'message', room, content: 1, keep: false, key: 'k' }), {
    code: 'bad_envelope',
  })
  t.match(await a.publish(room, 1, { keep: true }), { offset: 3 })
  t.match(await a.publish(undefined, 'to all', { keep: false }), { scope: 'cluster' })
  await b.next(({ content }) => content === 'to all')
  await nodes.close(a, b)
}

const BURSTS = 60
const BURST = 20

/** A member that joins again with `last`, while others speak: between what it had and what it gets nothing is missing. */
export async function rejoinsWithLast(t: Test, nodes: Nodes): Promise<void> {
  const room = newRoom()
  const [speaker, member] = [await nodes.connect('a'), await nodes.connect('m')]
  await speaker.join(room)
  await member.join(room)
  let isOn = true
  let sent = 0
  const speaking = (async () => {
    while (isOn) {
      for (let k = 0; k < 5; k++) speaker.send({ type: 'message', room, content: ++sent })
      await pace(1)
    }
  })()
  for (let round = 0; round < 40; round++) {
    const joined = await member.request({ type: 'join', room, last: 3 })
    t.ok(Number(joined.missed) >= Math.min(3, Number(joined.offset)))
    await pace(5)
  }
  isOn = false
  await speaking
  const { offset } = await speaker.publish(room, 'end')
  await member.next(({ content }) => content === 'end', 20_000)
  const seen = new Set(messagesIn(member.received).map((message) => Number(message.offset)))
  const missing = Array.from({ length: Number(offset) }, (_, index) => index + 1).filter(
    (one) => !seen.has(one),
  )
  t.same(missing, [], `none of ${offset}`)
  await nodes.close(speaker, member)
}

/** A member, and clients that join with `last`, while one client sends what is kept and what is not, by turns. */
export async function joinsUnderTraffic(t: Test, nodes: Nodes): Promise<void> {
  const room = newRoom()
  const [a, member] = [await nodes.connect('a'), await nodes.connect('m')]
  await a.join(room)
  await member.join(room)
  const joiners: { client: Client; joined: Envelope }[] = []
  let sent = 0
  for (let burst = 0; burst < BURSTS; burst++) {
    const joiner = burst % 4 === 0 ? await nodes.connect(`j${burst}`) : undefined
    const joining = joiner?.request({ type: 'join', room, last: 10 })
    for (let k = 0; k < BURST; k++)
      a.send({ type: 'message', room, content: { n: ++sent }, ...(sent % 2 === 0 && { keep: false }) })
    if (joiner !== undefined && joining !== undefined) joiners.push({ client: joiner, joined: await joining })
  }
  await a.publish(room, { n: 'end' })
  const isEnd = ({ content }: Envelope) => (content as { n?: unknown } | undefined)?.n === 'end'
  const all = messagesIn(await member.collectUntil(isEnd, 20_000))
  t.same(
    all.map(({ content }) => (content as { n: unknown }).n),
    [...Array.from({ length: sent }, (_, index) => index + 1), 'end'],
    'a member gets all of them, in the order of their sending',
  )
  t.ok(joiners.length > 10)
  for (const { client, joined } of joiners) {
    await client.next(isEnd, 20_000)
    const got = messagesIn(client.received)
    const kept = got.map(({ offset }) => offset).filter((offset) => offset !== undefined) as number[]
    const [missed, offset] = [Number(joined.missed), Number(joined.offset)]
    t.equal(missed, Math.min(10, offset))
    t.same(
      kept,
      Array.from({ length: sent / 2 + 1 - offset + missed }, (_, index) => offset - missed + 1 + index),
      'the last ones, and then all live ones: no hole, none twice',
    )
    const unkept = got
      .filter(({ offset }) => offset === undefined)
      .map(({ content }) => (content as { n: number }).n)
    t.ok(
      unkept.every((n, index) => index === 0 || n === (unkept[index - 1] ?? 0) + 2),
      'so it is with those that are not kept, from the join on',
    )
    // Each is where it was sent, but those that came with the join.
    const live = got.slice(missed).map(({ content }) => (content as { n: unknown }).n)
    const settled = live.slice(live.findIndex((n) => typeof n === 'number' && n % 2 === 1))
    t.ok(settled.every((n, index) => index === 0 || n === 'end' || Number(n) > Number(settled[index - 1])))
  }
  await nodes.close(a, member, ...joiners.map(({ client }) => client))
}
