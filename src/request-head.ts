// How RFC 9110 and RFC 9112 want the head of a request to be read, where Node leaves that to us.
import type { IncomingHttpHeaders } from 'node:http'

/** The target from its path on: a server takes the absolute form too (RFC 9112 section 3.2.2). */
export function originForm(target: string): string {
  if (target.startsWith('/')) return target
  const [origin = ''] = /^https?:\/\/[^/?#@]+/i.exec(target) ?? []
  return target.slice(origin.length)
}

/** The elements of a header that is a list; empty ones count for nothing (RFC 9110 section 5.6.1). */
export function elementsOf(header = ''): string[] {
  return header
    .split(',')
    .map((element) => element.replace(/^[ \t]+|[ \t]+$/g, ''))
    .filter((element) => element !== '')
}

/** Whether the header `Upgrade` offers this protocol, given in lower case, perhaps among others. */
export function offersUpgradeTo(protocol: string, { upgrade = '' }: IncomingHttpHeaders): boolean {
  return elementsOf(upgrade.toLowerCase()).includes(protocol)
}

/** Whether a body follows; one of length zero is none (RFC 9112 section 6). */
export function hasBody(headers: IncomingHttpHeaders): boolean {
  return /[^0]/.test(headers['content-length'] ?? '') || headers['transfer-encoding'] !== undefined
}
