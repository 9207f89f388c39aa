import { inSeconds, labelled, type Reading } from '../metrics/readings.ts'
import type { HookBounds } from './hook-bounds.ts'
import { hookNames } from './hooks.ts'

/** What hooks and calls have to show. */
export function hookReadings({ seen }: HookBounds): Reading[] {
  const failures = Object.fromEntries(hookNames.map((hook) => [hook, seen[hook].failures]))
  return [
    inSeconds(
      'hook_seconds',
      'How long hooks and calls took that were waited for',
      ...hookNames.map(
        (hook) => [seen[hook].times, { hook }] as [typeof seen.connect.times, { hook: string }],
      ),
    ),
    labelled('hook_failures_total', 'Hooks and calls that failed or were not answered', 'hook', failures),
  ]
}
