/** A reason for people: Redis's own error code or the system's, never an address, a user or a password. */
export function describeFault(error: Error): string {
  const { code, message } = error as NodeJS.ErrnoException
  if (code !== undefined) return code
  // What ACLs refuse within a script comes as a plain ERR.
  if (/^ERR .*user executing the script can't/.test(message)) return 'NOPERM'
  const unknown = /unknown (?:redis )?command [`'"]?([a-z|]+)/i.exec(message)?.[1]
  if (unknown !== undefined && unknown !== 'called') return `unknown command ${unknown.toUpperCase()}`
  const forbidden = /^NOPERM .*(?:run (?:the ')?)([a-z|]+)(?:' command)?/i.exec(message)?.[1]
  if (forbidden !== undefined) return `NOPERM ${forbidden.toUpperCase()}`
  if (message.startsWith('Unknown RESP type')) return 'it does not speak as Redis'
  const replyCode = /^[A-Z]{3,}\b/.exec(message)?.[0]
  // Plain ERR says nothing: its text does, when it is plain words.
  if (replyCode !== undefined) return /^ERR [a-z ]{3,60}$/i.test(message) ? message : replyCode
  return /^[a-z ]{3,60}$/i.test(message) ? message : 'connection failed'
}

/** A Cluster's word that the slot is, or may be, another server's; nothing was carried out. */
export function isElsewhere({ message }: Error): boolean {
  return /^(MOVED|ASK|TRYAGAIN|CLUSTERDOWN) /.test(message)
}

/** The server has lost the scripts, as a restart or SCRIPT FLUSH makes it; nothing was carried out. */
export function hasLostScripts({ message }: Error): boolean {
  return message.startsWith('NOSCRIPT ')
}
