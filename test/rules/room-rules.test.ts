import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { z } from 'zod'
import { ConfigError, configFrom, configFromEnv } from '../../src/config.ts'
import { RoomRules } from '../../src/rules/room-rules.ts'

const defaults = { historySize: 100, historyTtlMs: 300_000, historyMaxBytes: 1_048_576 }
const rulesOf = (ROOM_RULES: string) => new RoomRules(configFromEnv({ ROOM_RULES }).roomRules, defaults)

t.test('the first rule that fits holds, and what it does not name has the default settings', async (t) => {
  const rules = rulesOf(`[
    {"match": "cursors.*", "history": {"size": 0}, "rate": {"perSecond": 60, "burst": 120}},
    {"match": "team-*", "history": {"size": 500, "ttlMs": 3600000}, "presence": {"listMax": 7}},
    {"match": "team-x", "publish": "server"},
    {"match": "news", "publish": "server", "presence": true, "rate": {"perSecond": 0.5}}]`)
  const plain = {
    match: '*',
    history: { size: 100, ttlMs: 300_000, maxBytes: 1_048_576 },
    presence: undefined,
    publish: 'members',
    rate: undefined,
    webhook: false,
    trace: false,
    content: undefined,
  }
  t.strictSame(rules.ruleOf('other'), plain)
  t.equal(rules.ruleOf('other'), rules.ruleOf('another'), 'one object for all of them')
  t.strictSame(rules.ruleOf('cursors.1'), {
    ...plain,
    match: 'cursors.*',
    history: { ...plain.history, size: 0 },
    rate: { perSecond: 60, burst: 120 },
  })
  t.match(rules.ruleOf('team-x'), {
    history: { size: 500, ttlMs: 3_600_000, maxBytes: 1_048_576 },
    presence: { lingerMs: 5000, listMax: 7, intervalMs: 100 },
    publish: 'members',
  })
  t.match(rules.ruleOf('news'), {
    publish: 'server',
    presence: { lingerMs: 5000, listMax: 200, intervalMs: 100 },
    rate: { perSecond: 0.5, burst: 1 },
  })
})

t.test('an app gives them as a list or by pattern, and `$user` is an ordinary name in them', async (t) => {
  const content = z.object({ n: z.number() })
  const byPattern = configFrom({ rules: { 'a.*': { content }, $user: { publish: 'anyone' } } }).roomRules
  t.strictSame(
    configFrom({
      rules: [
        { match: 'a.*', content },
        { match: '$user', publish: 'anyone' },
      ],
    }).roomRules,
    byPattern,
  )
  const rules = new RoomRules(byPattern, defaults)
  t.equal(rules.ruleOf('a.b').content, content)
  t.equal(rules.ruleOf('$user').publish, 'anyone')
  t.equal(rules.ruleOf('user').publish, 'members')
})

t.test('they may lie in a file', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'roomcast-rules-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  writeFileSync(join(folder, 'rules.json'), '[{"match": "a", "publish": "anyone"}]')
  t.equal(rulesOf(`@${folder}/rules.json`).ruleOf('a').publish, 'anyone')
  writeFileSync(join(folder, 'large.json'), `[${' '.repeat(1024 * 1024)}]`)
  for (const [name, message] of [
    ['none.json', 'ROOM_RULES: the file cannot be read (ENOENT)'],
    ['large.json', 'ROOM_RULES: the file cannot be read (larger than 1 MiB)'],
  ] as const)
    t.throws(() => rulesOf(`@${folder}/${name}`), new ConfigError(message))
})

t.test('a bad rule stops the start, and the rule and the field are named', async (t) => {
  const nested = '['.repeat(100_000) + ']'.repeat(100_000)
  const many = JSON.stringify(Array.from({ length: 1001 }, () => ({ match: 'a' })))
  for (const [text, message] of [
    ['{', 'ROOM_RULES: must be JSON, or @ and the name of a file of JSON'],
    ['7', 'ROOM_RULES: must be a list of rules'],
    ['null', 'ROOM_RULES: must be a list of rules'],
    ['[7]', 'ROOM_RULES[0]: must be an object'],
    ['[{}]', 'ROOM_RULES[0].match: must be a room pattern'],
    ['[{"match":"a"},{"match":""}]', 'ROOM_RULES[1].match: must be a room pattern'],
    [
      '[{"match":"a","history":{"size":-1}}]',
      'ROOM_RULES[0].history.size: must be a whole number from 0 to 10000',
    ],
    ['{"team-*":{"history":{"ttl":1}}}', 'ROOM_RULES[0].history: has no field "ttl"'],
    ['{"a":{"match":"b"}}', 'ROOM_RULES[0].match: must be a room pattern'],
    ['[{"match":"a","histroy":{}}]', 'ROOM_RULES[0]: has no field "histroy"'],
    ['[{"match":"a","__proto__":{}}]', 'ROOM_RULES[0]: has no field "__proto__"'],
    ['[{"match":"a","constructor":{}}]', 'ROOM_RULES[0]: has no field "constructor"'],
    [
      '[{"match":"a","presence":{"lingerMs":"5"}}]',
      'ROOM_RULES[0].presence.lingerMs: must be a whole number from 0 to 3600000',
    ],
    ['[{"match":"a","presence":1}]', 'ROOM_RULES[0].presence: must be an object'],
    ['[{"match":"a","publish":"all"}]', 'ROOM_RULES[0].publish: must be "members", "server" or "anyone"'],
    [
      '[{"match":"a","rate":{"perSecond":0}}]',
      'ROOM_RULES[0].rate.perSecond: must be a number above 0, 1,000,000 at most',
    ],
    [
      '[{"match":"a","content":{"type":"object"}}]',
      'ROOM_RULES[0].content: must be a Standard Schema, which only an embedding app can give',
    ],
    [`[{"match":"a","history":${nested}}]`, 'ROOM_RULES[0].history: must be an object'],
    [many, 'ROOM_RULES: must be 1000 rules at most'],
  ] as const)
    t.throws(() => configFromEnv({ ROOM_RULES: text }), new ConfigError(message), message)
  t.throws(
    () => configFrom({ rules: { 'a.*': { history: { size: 0.5 } } } }),
    new ConfigError('rules["a.*"].history.size: must be a whole number from 0 to 10000'),
    'and an app sees the name that it used',
  )
})

t.test('a pattern of stars fits every room, in no time', async (t) => {
  const stars = '*'.repeat(256)
  const many = 'a*'.repeat(128)
  const rules = rulesOf(
    JSON.stringify([
      ...Array.from({ length: 900 }, () => ({ match: many })),
      { match: stars, publish: 'server' },
    ]),
  )
  const startedAt = performance.now()
  for (const room of ['a', '__proto__', 'a'.repeat(127), 'constructor', '*'])
    t.equal(rules.ruleOf(room).publish, 'server', room)
  t.ok(performance.now() - startedAt < 500)
})
