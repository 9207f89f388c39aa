import { spanOf } from '../claim-steps.ts'
import { type Finding, fail, warn } from '../finding.ts'

/** Beyond this tokens may be refused that have just been signed. */
const NOTED_MS = 5000
const WRONG_MS = 60_000
/** No roomcast was there before. */
const FIRST_MS = Date.UTC(2025, 0)

/** What to say of a clock that is ahead of this machine's by so much; nothing while it is near. */
export function clockFinding(name: string, aheadMs: number): Finding[] {
  const apartMs = Math.abs(aheadMs)
  if (apartMs < NOTED_MS) return []
  const cause = `it is ${spanOf(apartMs / 1000)} ${aheadMs > 0 ? 'ahead of' : 'behind'} this machine's clock: tokens seem expired, or not yet valid`
  const mend = 'set both clocks by NTP (timedatectl set-ntp true, chronyc tracking)'
  return [apartMs < WRONG_MS ? warn(name, cause, mend) : fail(name, cause, mend)]
}

/** This machine's own, as far as it can be told alone. */
export function ownClock(nowMs = Date.now()): Finding[] {
  if (nowMs > FIRST_MS) return []
  return [fail('clock', `this machine says it is ${new Date(nowMs).toISOString()}`, 'set it by NTP')]
}
