import { textEntryBytes } from '../bounded-map.ts'
import type { Note } from '../bridge/bridge.ts'
import type { Identity } from './permissions.ts'

/** What all revocations may take of memory, at some 300 bytes each. */
export const REVOCATIONS_BYTES = 32 * 1024 * 1024

/** Whose tokens a revocation is for. */
export type Revoked = { user: string } | { jti: string }

/** What a revocation goes by among the nodes; its value is the time (ms since 1970) before which tokens are revoked. */
export function revocationName(revoked: Revoked): string {
  return 'user' in revoked ? `user:${revoked.user}` : `jti:${revoked.jti}`
}

/** undefined for a note that is no revocation. */
export function revokedOf({ name }: Note): Revoked | undefined {
  const [, kind, text = ''] = /^(user|jti):(.{1,256})$/s.exec(name) ?? []
  if (kind === undefined) return undefined
  return kind === 'user' ? { user: text } : { jti: text }
}

interface Entry extends Note {
  /** Whether it is kept for all nodes. */
  isKept: boolean
}

/** The revocations that this node knows, until the tokens would have expired anyway. Bounded in bytes: more are refused. */
export class Revocations {
  readonly #maxBytes: number
  readonly #entries = new Map<string, Entry>()
  /** The names of those that are to be kept for all nodes yet. */
  readonly #unkept = new Set<string>()
  #bytes = 0

  constructor(maxBytes = REVOCATIONS_BYTES) {
    this.#maxBytes = maxBytes
  }

  get size(): number {
    return this.#entries.size
  }

  /** A token that does not say when it was issued counts as issued before anything. */
  isRevoked({ user, jti, issuedAtMs = -Infinity }: Pick<Identity, 'user' | 'jti' | 'issuedAtMs'>): boolean {
    if (this.#entries.size === 0) return false
    if (jti !== undefined && this.#entries.has(revocationName({ jti }))) return true
    const entry = this.#entries.get(revocationName({ user }))
    return entry !== undefined && issuedAtMs < entry.value
  }

  /** Of two of one name the stricter holds, and the later end. False when there is no room for it. */
  add({ name, value, untilMs }: Note, isKept: boolean): boolean {
    const known = this.#entries.get(name)
    const bytes = textEntryBytes(name)
    if (known === undefined) {
      if (this.#bytes + bytes > this.#maxBytes) return false
      this.#bytes += bytes
    }
    const entry = {
      name,
      value: Math.max(value, known?.value ?? 0),
      untilMs: Math.max(untilMs, known?.untilMs ?? 0),
    }
    this.#entries.set(name, { ...entry, isKept: false })
    // What is kept may be less strict than what is known here.
    const isWhole = entry.value === value && entry.untilMs === untilMs
    const wasKept = known?.isKept === true && known.value === entry.value && known.untilMs === entry.untilMs
    this.#setKept(name, (isKept && isWhole) || wasKept)
    return true
  }

  /** Some that are to be kept for all nodes yet. */
  unkept(limit: number): Note[] {
    const notes: Note[] = []
    for (const name of this.#unkept) {
      const entry = this.#entries.get(name)
      if (notes.length === limit) break
      if (entry !== undefined) notes.push({ name, value: entry.value, untilMs: entry.untilMs })
    }
    return notes
  }

  get hasUnkept(): boolean {
    return this.#unkept.size > 0
  }

  /** What was kept for all nodes may be lost. */
  keepAllAgain(): void {
    for (const name of this.#entries.keys()) this.#setKept(name, false)
  }

  /** Forgets those whose tokens have expired. */
  sweep(nowMs: number): void {
    for (const [name, { untilMs }] of this.#entries) {
      if (untilMs > nowMs) continue
      this.#entries.delete(name)
      this.#unkept.delete(name)
      this.#bytes -= textEntryBytes(name)
    }
  }

  #setKept(name: string, isKept: boolean): void {
    const entry = this.#entries.get(name)
    if (entry === undefined) return
    entry.isKept = isKept
    if (isKept) this.#unkept.delete(name)
    else this.#unkept.add(name)
  }
}
