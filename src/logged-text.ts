import { addressIn } from './address.ts'

/** A user or address may be of any length; nobody reads on. */
const MAX_CHARS = 128

/** A peer's text as the log may have it: short, and without what turns text round or hides it in a terminal. */
export function loggedText(text: string): string {
  if (/^[!-~]{0,128}$/.test(text)) return text
  const shown = text.slice(0, MAX_CHARS).replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, '\ufffd')
  return text.length > MAX_CHARS ? `${shown}…` : shown
}

/** A peer's address for the log, without port or zone. `X-Forwarded-For` may say anything, and a pipe has none. */
export function loggedAddress(text: string | undefined): string | undefined {
  return text === undefined ? undefined : (addressIn(text) ?? loggedText(text))
}
