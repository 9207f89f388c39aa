import { mock } from 'node:test'
import t from 'tap'
import { RefusalLog } from '../src/refusal-log.ts'

t.test('the first of a kind are logged, then their number in each 10 s', async (t) => {
  mock.timers.enable({ apis: ['setInterval'] })
  t.teardown(() => mock.timers.reset())
  const lines: object[] = []
  const add = (_fields: object, _message: string) => {}
  const log = new RefusalLog({
    debug: add,
    info: (fields, msg) => lines.push({ ...fields, msg }),
    warn: add,
    error: add,
  })
  const refuse = (times: number, status: number, path?: string) => {
    for (let i = 0; i < times; i++) {
      const refused = { method: 'GET', path: path ?? `/word${i}`, ip: '192.0.2.1' }
      log.add(path === undefined ? { status } : { status, path }, refused)
    }
  }
  const taken = () => lines.splice(0)

  refuse(60_000, 401, '/ws')
  refuse(2, 403, '/ws')
  refuse(7, 404)
  t.equal(lines.length, 5 + 2 + 5)
  t.strictSame(taken()[0], {
    method: 'GET',
    path: '/ws',
    status: 401,
    ip: '192.0.2.1',
    msg: 'request refused',
  })
  mock.timers.tick(10_000)
  t.strictSame(taken(), [
    { status: 401, path: '/ws', count: 59_995, inMs: 10_000, msg: 'more requests refused' },
    { status: 404, count: 2, inMs: 10_000, msg: 'more requests refused' },
  ])
  refuse(300, 401, '/ws')
  t.strictSame(taken(), [], 'as long as many come, their number is all')
  refuse(1, 403, '/ws')
  t.match(taken(), [{ status: 403, msg: 'request refused' }], 'few are each logged')
  mock.timers.tick(10_000)
  t.match(taken(), [{ status: 401, count: 300 }])
  mock.timers.tick(10_000)
  refuse(6, 401, '/ws')
  t.equal(taken().length, 5, 'after a quiet time it begins anew')
  log.close()
  t.match(taken(), [{ status: 401, count: 1 }], 'nothing is uncounted at the end')
  mock.timers.tick(20_000)
  t.strictSame(taken(), [])
})
