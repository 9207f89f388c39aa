import t from 'tap'
import { loggedAddress, loggedText } from '../src/logged-text.ts'

t.test("a peer's text is short in the log, and cannot hide or turn what stands there", async (t) => {
  t.equal(loggedText('auth0|5f7c8ec7c33c6c004bbafe82'), 'auth0|5f7c8ec7c33c6c004bbafe82')
  t.equal(loggedText('Zoë Ångström 😀'), 'Zoë Ångström 😀')
  t.equal(loggedText('a'.repeat(9000)), `${'a'.repeat(128)}…`)
  for (const sign of [
    '\u0000',
    '\n',
    '\u001b',
    '\u007f',
    '\u0085',
    '\u009b',
    '\u00ad',
    '\u061c',
    '\u200b',
    '\u200f',
    '\u2028',
    '\u2029',
    '\u202e',
    '\u2066',
    '\ufeff',
    '\ud800',
    '\u{e0041}',
  ]) {
    t.equal(loggedText(`a${sign}b`), 'a\ufffdb', String(sign.codePointAt(0)))
  }
  t.equal(loggedText(`${'a'.repeat(127)}😀`), `${'a'.repeat(127)}\ufffd…`, 'no half of a character')
})

t.test('an address has no port and no zone in the log', async (t) => {
  for (const [text, address] of [
    ['192.0.2.1', '192.0.2.1'],
    ['192.0.2.1:443', '192.0.2.1'],
    ['2001:db8::1', '2001:db8::1'],
    ['[2001:db8::1]:443', '2001:db8::1'],
    ['[2001:db8::1]', '2001:db8::1'],
    [`fe80::1%${'x'.repeat(9000)}`, 'fe80::1'],
    ['unknown', 'unknown'],
    ['\u009b31m', '\ufffd31m'],
    ['x'.repeat(9000), `${'x'.repeat(128)}…`],
    [undefined, undefined],
  ] as const) {
    t.equal(loggedAddress(text), address, String(text).slice(0, 20))
  }
})
