import t from 'tap'
import { elementsOf, hasBody, offersUpgradeTo, originForm } from '../src/request-head.ts'

t.test('a target is read from its path on, in the origin form and in the absolute one', async (t) => {
  for (const [target, path] of [
    ['/ws?token=a', '/ws?token=a'],
    ['http://a.example/ws?token=a', '/ws?token=a'],
    ['HTTPS://[::1]:80/ws', '/ws'],
    ['http://a.example?b', '?b'],
    ['//a.example/ws', '//a.example/ws'],
    ['http://a:b@a.example/ws', '@a.example/ws'],
    ['ws://a.example/ws', 'ws://a.example/ws'],
    ['*', '*'],
  ] as const) {
    t.equal(originForm(target), path, target)
  }
})

t.test('a list has no empty elements and no white space around the others', async (t) => {
  t.strictSame(elementsOf(undefined), [])
  t.strictSame(elementsOf(' ,\t, '), [])
  t.strictSame(elementsOf(',a ,\tb c,,d'), ['a', 'b c', 'd'])
  t.strictSame(elementsOf('\u00a0a'), ['\u00a0a'], 'a space of another kind is none')
})

t.test('an upgrade is offered by an element, whatever its case', async (t) => {
  for (const upgrade of ['websocket', 'WebSocket', 'h2c, websocket', ',websocket,']) {
    t.ok(offersUpgradeTo('websocket', { upgrade }), upgrade)
  }
  for (const upgrade of ['', 'x-websocket', 'websocket/13', 'web socket', 'h2c']) {
    t.notOk(offersUpgradeTo('websocket', { upgrade }), upgrade)
  }
  t.notOk(offersUpgradeTo('websocket', {}))
})

t.test('a body of length zero is none', async (t) => {
  for (const length of ['0', '00', undefined]) t.notOk(hasBody({ 'content-length': length }))
  t.ok(hasBody({ 'content-length': '10' }))
  t.ok(hasBody({ 'transfer-encoding': 'chunked' }))
})
