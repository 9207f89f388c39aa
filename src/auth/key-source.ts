import { z } from 'zod'

/** A key server's answer may have so many bytes; usual ones have 1 to 20 KiB. */
const ANSWER_MAX_BYTES = 1024 * 1024
/** For one answer, its body included. */
const ANSWER_TIMEOUT_MS = 5000

/** Where a key set comes from: its own address, or an OpenID Connect issuer that names it. */
export type KeySource = { url: string } | { issuer: string }

/** Reads the document of a key set, unchecked. Rejects with a KeyFault. */
export async function readKeys(source: KeySource, signal: AbortSignal): Promise<unknown> {
  const url = 'url' in source ? source.url : await discover(source.issuer, signal)
  return readJson(url, signal)
}

/** Why keys cannot be had; in words of ours, for the log. */
export class KeyFault extends Error {
  override name = 'KeyFault'
}

/** OpenID Connect Discovery 1.0, section 4: the issuer says where its keys are, and that it is the one asked. */
async function discover(issuer: string, signal: AbortSignal): Promise<string> {
  const answer = await readJson(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`, signal)
  const { data } = z.object({ issuer: z.string(), jwks_uri: z.string() }).safeParse(answer)
  if (data === undefined) throw new KeyFault('its openid-configuration has no issuer and jwks_uri')
  if (data.issuer !== issuer) throw new KeyFault('its openid-configuration is of another issuer')
  if (!URL.canParse(data.jwks_uri)) throw new KeyFault('its jwks_uri is no address')
  const { protocol } = new URL(data.jwks_uri)
  if (protocol !== 'https:' && protocol !== new URL(issuer).protocol)
    throw new KeyFault('its jwks_uri is not of https')
  return data.jwks_uri
}

/**
 * No redirect is followed: whoever can have the key server redirect (an open redirect is enough) would choose the keys.
 * Private addresses are fine, since all addresses are the operator's, or his issuer's.
 */
async function readJson(url: string, signal: AbortSignal): Promise<unknown> {
  try {
    const response = await fetch(url, {
      redirect: 'manual',
      headers: { accept: 'application/json' },
      signal: AbortSignal.any([signal, AbortSignal.timeout(ANSWER_TIMEOUT_MS)]),
    })
    if (response.status !== 200 || response.body === null) {
      await response.body?.cancel()
      throw new KeyFault(`status ${response.status}`)
    }
    return JSON.parse(await textOf(response.body))
  } catch (error) {
    throw error instanceof KeyFault ? error : new KeyFault(reasonOf(error as Error))
  }
}

async function textOf(body: ReadableStream<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of body) {
    bytes += chunk.length
    // Leaving the loop ends the connection.
    if (bytes > ANSWER_MAX_BYTES) throw new KeyFault(`more than ${ANSWER_MAX_BYTES} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString()
}

/** The server's own words are not for the log. */
function reasonOf({ name, cause }: Error): string {
  if (name === 'TimeoutError') return `no answer within ${ANSWER_TIMEOUT_MS} ms`
  if (name === 'SyntaxError') return 'no JSON'
  return (cause as { code?: string } | undefined)?.code ?? 'no connection'
}
