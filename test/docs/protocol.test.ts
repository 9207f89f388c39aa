// docs/PROTOCOL.md against the schemas: what its tables and headings name exists, and what exists is named there.
import { readFileSync } from 'node:fs'
import t from 'tap'
import ts from 'typescript'
import { closeCodes, errorCodes, refusals } from '../../src/protocol/codes.ts'

const document = readFileSync('docs/PROTOCOL.md', 'utf8')

/** The text under a heading, up to the next of its level or above. */
function section(heading: string): string {
  const level = heading.indexOf(' ')
  const from = document.indexOf(`\n${heading}\n`)
  const rest = document.slice(from + heading.length + 2)
  const end = rest.search(new RegExp(`^#{1,${level}} `, 'm'))
  return from < 0 ? '' : rest.slice(0, end < 0 ? undefined : end)
}

/** The rows of a section's tables, without their heads; each cell trimmed. */
function rows(heading: string): string[][] {
  const lines = section(heading).split('\n')
  return lines
    .filter(
      (line, index) =>
        line.startsWith('|') && !/^\|[ -]*-/.test(line) && !/^\|[ -]*-/.test(lines[index + 1] ?? ''),
    )
    .map((line) =>
      line
        .slice(1, -1)
        .split(/(?<!\\)\|/)
        .map((cell) => cell.trim()),
    )
}

const quoted = (text: string) => [...text.matchAll(/`([^`]+)`/g)].map(([, word = '']) => word)

/** Of each envelope of a union in wire.ts, its fields; those that may be absent end in `?`. */
function envelopesOf(alias: string): Map<string, Set<string>> {
  const symbol = wire.find(({ name }) => name === alias)
  if (symbol === undefined) throw new Error(`wire.ts has no ${alias}`)
  const union = checker.getDeclaredTypeOfSymbol(symbol)
  const members = union.isUnion() ? union.types : [union]
  return new Map(
    members.map((member) => {
      const fields = new Set<string>()
      let type = ''
      for (const property of member.getProperties()) {
        const isOptional = (property.flags & ts.SymbolFlags.Optional) !== 0
        if (property.name !== 'type') fields.add(isOptional ? `${property.name}?` : property.name)
        else type = (checker.getTypeOfSymbol(property) as ts.StringLiteralType).value
      }
      return [type, fields]
    }),
  )
}

const program = ts.createProgram(['src/protocol/wire.ts'], {
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
  target: ts.ScriptTarget.ES2023,
  strict: true,
  exactOptionalPropertyTypes: true,
  allowImportingTsExtensions: true,
  noEmit: true,
})
const checker = program.getTypeChecker()
const file = program.getSourceFile('src/protocol/wire.ts')
const module = file && checker.getSymbolAtLocation(file)
const wire = module === undefined ? [] : checker.getExportsOfModule(module)

t.test('each request has a heading with its fields, and each heading is a request', async (t) => {
  const requests = envelopesOf('FromClient')
  t.ok(requests.size >= 5, 'the requests are found')
  const body = section('## From the client')
  const headings = [...body.matchAll(/^### (.+)$/gm)]
    .map(([, name = '']) => name)
    .filter((name) => !section(`### ${name}`).includes('Not yet in this version'))
  t.strictSame(headings.sort(), [...requests.keys()].sort())
  for (const [type, fields] of requests) {
    const [signature = ''] = quoted(section(`### ${type}`)).filter((text) => text.startsWith('{"type"'))
    // What is nested is not looked at.
    const flat = signature.slice(1, -1).replace(/\{[^{}]*\}/g, '…')
    const named = [...flat.matchAll(/"(\w+)"(\??):/g)].map(([, name, mark]) => `${name}${mark}`)
    t.strictSame(
      named.filter((name) => name !== 'type').sort(),
      [...fields].filter((name) => name !== 'id?').sort(),
      type,
    )
  }
})

t.test('each envelope of the server has a row with its fields, and each row is one', async (t) => {
  const envelopes = envelopesOf('ToClient')
  t.ok(envelopes.size >= 10, 'the envelopes are found')
  const named = new Map(
    rows('## To the client')
      .filter(
        ([type = '', fields]) => /^`\w+`$/.test(type) && fields !== undefined && quoted(fields).length > 0,
      )
      .filter(([type = '']) => !errorCodes.includes(quoted(type)[0] as never))
      .map(([type = '', fields = '']) => [quoted(type)[0] ?? '', new Set(quoted(fields).map(nameOf))]),
  )
  t.strictSame([...named.keys()].sort(), [...envelopes.keys()].sort())
  for (const [type, fields] of envelopes)
    t.strictSame([...(named.get(type) ?? [])].sort(), [...fields].sort(), type)
})

t.test('the tables of codes are those of the protocol', async (t) => {
  const errors = rows('### Error codes').map(([code = '']) => quoted(code)[0])
  t.strictSame(errors.sort(), [...errorCodes].sort())

  const refused = rows('## Connecting').filter(([status = '']) => /^\d{3}/.test(status))
  const names = new Set(refused.map(([, code = '']) => quoted(code)[0] ?? ''))
  t.strictSame([...names].sort(), Object.keys(refusals).sort())
  for (const [code, status] of Object.entries(refusals)) {
    const statuses = refused.filter(([, name = '']) => quoted(name)[0] === code).map(([text = '']) => text)
    t.ok(
      statuses.some((text) => text.includes(String(status))),
      `${code} with ${status}`,
    )
  }

  const closes = rows('## Close codes').map(([code]) => Number(code))
  const ofLibrary = [1002, 1007, 1008, 1009]
  const chosen = Object.values(closeCodes).map(({ code }) => code)
  t.strictSame(closes.sort(), [...new Set([...chosen, ...ofLibrary])].sort())
})

/** `from: {client, user, app?}` → `from` */
function nameOf(field: string): string {
  return field.split(':')[0] ?? ''
}
