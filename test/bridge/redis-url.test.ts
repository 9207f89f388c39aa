import t from 'tap'
import { parseRedisUrl } from '../../src/bridge/redis-url.ts'

t.test('where Redis is, with what it is let in', async (t) => {
  for (const [url, target] of [
    ['redis://h', { kind: 'single', options: { host: 'h', port: 6379, db: 0 } }],
    ['redis://h:1/', { kind: 'single', options: { host: 'h', port: 1, db: 0 } }],
    [
      'rediss://:p%40ss%25%2F@[::1]:7/12',
      { kind: 'single', options: { host: '::1', port: 7, db: 12, password: 'p@ss%/', tls: {} } },
    ],
    [
      'redis+sentinel://ada:a:b@s1:1,s2:2/the-master',
      {
        kind: 'sentinel',
        options: {
          sentinels: [
            { host: 's1', port: 1 },
            { host: 's2', port: 2 },
          ],
          name: 'the-master',
          username: 'ada',
          password: 'a:b',
        },
      },
    ],
    [
      'redis+cluster://:p@c:5',
      { kind: 'cluster', nodes: [{ host: 'c', port: 5 }], options: { password: 'p' } },
    ],
    ['rediss+cluster://c:5', { kind: 'cluster', nodes: [{ host: 'c', port: 5 }], options: { tls: {} } }],
  ] as const) {
    t.strictSame(parseRedisUrl(url), target, url)
  }
})

t.test('what is not an address of Redis is refused with the reason, and not repeated', async (t) => {
  for (const [url, reason] of [
    ['http://h', 'must be redis://'],
    ['redis:///x', 'must be redis://'],
    ['redis://h?db=3', 'no query'],
    ['redis://:p@ss@h', 'percent-encoded'],
    ['redis://h/abc', 'number of a database'],
    ['redis://h/-1', 'number of a database'],
    ['redis://h:99999', 'ports'],
    ['redis://a,b', 'hosts must be'],
    ['redis://:100%@h', '% is %25'],
    ['redis+cluster://:100%@h:1', '% is %25'],
    ['redis+cluster://ada@h:1', 'user:password'],
    ['redis+cluster://h', 'needs its port'],
    ['redis+cluster://h:1/3', 'no database numbers'],
    ['redis+sentinel://h:1', "master's name"],
    ['rediss+sentinel://h:1/m', 'must be redis://'],
    ['rediss+sentinel://h:1/m', 'must be redis://'],
  ] as const) {
    const { message } = t.throws(() => parseRedisUrl(url), url) as Error
    t.match(message, reason, url)
  }
})
