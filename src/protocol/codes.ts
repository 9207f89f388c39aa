/** Error codes of `error` envelopes: the request failed, the connection stays open. */
export const errorCodes = [
  'bad_envelope',
  'unknown_type',
  'bad_room',
  'forbidden',
  'not_member',
  'room_limit',
  'rate_limited',
  'bad_content',
  'unauthorized',
  'unavailable',
  'refused',
  'unknown_method',
  'internal',
] as const
export type ErrorCode = (typeof errorCodes)[number]

/** Codes of upgrades refused before the 101, with the HTTP status of each. */
export const refusals = {
  bad_upgrade: 400,
  bad_request: 400,
  unauthorized: 401,
  origin_refused: 403,
  refused: 403,
  rate_limited: 429,
  full: 503,
  draining: 503,
  unavailable: 503,
  internal: 500,
} as const
export type RefusalCode = keyof typeof refusals

/** Close codes that the server chooses itself (RFC 6455 section 7.4), and what a client should do then. */
export const closeCodes = {
  goingAway: { code: 1001, reconnect: 'after reconnectInMs' },
  unsupportedData: { code: 1003, reconnect: 'no' },
  internal: { code: 1011, reconnect: 'with back-off' },
  tooSlow: { code: 1013, reconnect: 'with back-off' },
  tokenExpired: { code: 4401, reconnect: 'with a new token' },
  disconnected: { code: 4403, reconnect: 'no' },
  rateLimited: { code: 4429, reconnect: "after the reason's seconds" },
} as const
export type CloseName = keyof typeof closeCodes
