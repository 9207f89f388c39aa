import { existsSync } from 'node:fs'
import { type Command, Option } from 'commander'
import { configFromEnv } from '../src/config.ts'
import { withKeyMaterial } from '../src/service.ts'
import { Failure } from './failure.ts'
import { address } from './values.ts'

/** Where the server is unless told otherwise. */
export const LOCAL = 'http://127.0.0.1:8080'
const ANSWER_MS = 10_000

export interface ApiFlags {
  url: string
  key?: string
  json?: true
}

/** Adds what every command of the HTTP API has: --url and --key. */
export function addApiFlags(command: Command): Command {
  return command
    .addOption(
      new Option('--url <address>', 'where a node is').env('ROOMCAST_URL').default(LOCAL).argParser(address),
    )
    .addOption(
      new Option('--key <secret>', "an API key's secret, or a token with can.admin").env('ROOMCAST_API_KEY'),
    )
    .option('--json', 'the answer as JSON')
}

/** What to send: JSON, or JSON text that is sent as it stands. */
export interface Call {
  method?: 'GET' | 'POST' | 'DELETE'
  path: string
  body?: unknown
  text?: string
}

/** The HTTP API of a node, with one key. */
export class NodeApi {
  readonly #url: string
  readonly #key: string

  constructor({ url, key }: ApiFlags) {
    this.#url = url
    this.#key = key ?? keyOfSettings()
  }

  /** Resolves with the answer, which the caller knows the form of; rejects with Failure. */
  async call<Answer>({ method = 'GET', path, body, text }: Call): Promise<Answer> {
    const sent = text ?? (body === undefined ? undefined : JSON.stringify(body))
    const response = await this.#fetch(`${this.#url}/api/v1${path}`, {
      method,
      headers: {
        authorization: `Bearer ${this.#key}`,
        ...(sent !== undefined && { 'content-type': 'application/json' }),
      },
      ...(sent !== undefined && { body: sent }),
    })
    const answer = await textOf(response)
    const fields = parsed(answer)
    if (response.ok && fields !== undefined) return fields as Answer
    throw new Failure(this.#refusal(response.status, fields))
  }

  async #fetch(url: string, options: RequestInit): Promise<Response> {
    try {
      return await fetch(url, { ...options, signal: AbortSignal.timeout(ANSWER_MS) })
    } catch (error) {
      throw new Failure(`${this.#url} does not answer: ${reasonOf(error)}`)
    }
  }

  #refusal(status: number, fields: unknown): string {
    const { code, detail } = (fields ?? {}) as { code?: string; detail?: string }
    if (code === undefined && status === 404)
      return `${this.#url} has no HTTP API: set API_KEYS there, or it is no roomcast`
    if (code === undefined) return `${this.#url} answered ${status}, and not as roomcast does`
    const hint = code === 'unauthorized' ? '; --key or ROOMCAST_API_KEY has the secret' : ''
    return `${code}: ${detail}${hint}`
  }
}

async function textOf(response: Response): Promise<string> {
  try {
    return await response.text()
  } catch (error) {
    throw new Failure(`the answer broke off: ${reasonOf(error)}`)
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** fetch hides the system's word behind its own. */
export function reasonOf(error: unknown): string {
  const { name, message, cause } = error as Error & { cause?: NodeJS.ErrnoException }
  if (name === 'TimeoutError') return `no answer within ${ANSWER_MS / 1000} s`
  return cause?.code ?? cause?.message ?? message
}

/** The first key of API_KEYS, or that of a server which was started in this folder without settings. */
function keyOfSettings(): string {
  const given = configFromEnv()
  const isDevelopment = given.apiKeys.length === 0 && existsSync('.roomcast/dev-secret')
  const [key] = (isDevelopment ? withKeyMaterial(given).config : given).apiKeys
  if (key === undefined) throw new Failure('no key: give --key, ROOMCAST_API_KEY or API_KEYS')
  return key.secret
}
