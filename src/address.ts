import { isIP } from 'node:net'

/** The IP address in what a proxy says of its peer; some write a port too. Undefined when it is none. */
export function addressIn(text = ''): string | undefined {
  if (isIP(text) === 4) return text
  const host = /^\[([^\]]+)\](?::\d+)?$/.exec(text)?.[1] ?? /^([\d.]+):\d+$/.exec(text)?.[1] ?? text
  // A zone may be any text.
  const [address = ''] = host.split('%', 1)
  return isIP(address) === 0 ? undefined : address
}
