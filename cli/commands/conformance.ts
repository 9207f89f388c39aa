import { Command, InvalidArgumentError, Option } from 'commander'
import { asJson, asText } from '../../conformance/report.ts'
import { runConformance, sectionNames } from '../../conformance/run.ts'

const FAILED = 1
const USAGE = 2

interface Flags {
  secret: string
  apiKey?: string
  claims: Record<string, unknown>
  rooms: string
  section?: string[]
  broadcast?: true
  timeout: number
  parallel: number
  json?: true
}

/** `roomcast conformance URL --secret SECRET`: exit code 0 when all passed, 1 when a check failed, 2 for wrong usage. */
export function conformanceCommand(): Command {
  return new Command('conformance')
    .description('Check from outside whether a server speaks the protocol (docs/PROTOCOL.md).')
    .argument('<url>', 'where the server is, as http://host:port', toUrl)
    .addOption(
      new Option('--secret <secret>', 'an HMAC secret of the server, to sign tokens with')
        .env('JWT_SECRET')
        .makeOptionMandatory(),
    )
    .addOption(
      new Option('--api-key <secret>', "an API key's secret, for the HTTP API").env('ROOMCAST_API_KEY'),
    )
    .option('--claims <json>', 'claims that each token needs besides, such as {"aud": "…"}', toClaims, {})
    .option('--rooms <prefix>', 'how the names of all rooms begin', 'conformance.')
    .option('--section <name...>', 'these sections only')
    .option('--broadcast', 'also check what reaches every client of the server')
    .option('--timeout <ms>', 'how long an answer is waited for', toCount, 5_000)
    .option('--parallel <n>', 'how many checks run at a time', toCount, 8)
    .option('--json', 'the report as JSON')
    .addHelpText('after', () => `\nSections:\n${sectionNames.map((name) => `  ${name}`).join('\n')}`)
    .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : USAGE))
    .action(act)
}

async function act(url: URL, flags: Flags, command: Command): Promise<void> {
  const { apiKey, section: sections = [], broadcast = false, timeout: timeoutMs, json, ...rest } = flags
  const unknown = sections.find((name) => !sectionNames.includes(name))
  if (unknown !== undefined) command.error(`error: there is no section '${unknown}'; --help names them`)
  const report = await runConformance({ url, apiKey, sections, broadcast, timeoutMs, ...rest })
  process.stdout.write(json ? asJson(report) : asText(report, process.stdout.isTTY))
  if (report.failed > 0) process.exitCode = FAILED
}

function toUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || !/^(https?|wss?):$/.test(url.protocol))
    throw new InvalidArgumentError('It must begin with http://, https://, ws:// or wss://.')
  return url
}

function toCount(text: string): number {
  if (!/^[1-9]\d{0,6}$/.test(text)) throw new InvalidArgumentError('It must be a number of 1 or more.')
  return Number(text)
}

function toClaims(text: string): Record<string, unknown> {
  try {
    const claims: unknown = JSON.parse(text)
    if (typeof claims === 'object' && claims !== null && !Array.isArray(claims))
      return claims as Record<string, unknown>
  } catch {
    // Said below.
  }
  throw new InvalidArgumentError('It must be a JSON object.')
}
