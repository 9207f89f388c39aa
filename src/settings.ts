import { z } from 'zod'
import { hookNames } from './hooks/hooks.ts'
import {
  algorithm,
  apiKeys,
  canJson,
  flag,
  hookAddress,
  integer,
  keyAddress,
  list,
  origin,
  proxy,
  publicKeys,
  redisAddress,
  roomRulesJson,
  secrets,
  webhookSecret,
} from './setting-kinds.ts'
import { eventNames, webhookFormats } from './webhooks/events.ts'

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS

/** Every setting. In the environment its name is in capitals: maxClients is MAX_CLIENTS. */
export const settings = z
  .object({
    port: integer(0, 65_535).default(8080).describe('Port to listen on; 0 picks a free one.'),
    host: z.string().min(1).default('127.0.0.1').describe('Address to listen on; 0.0.0.0 or :: for all.'),
    logLevel: z
      .enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'])
      .default('info')
      .describe('Least level that is logged. Connects and disconnects of clients are debug.'),
    workers: integer(1, 256)
      .default(1)
      .describe('Processes that share the port, each a node of its own; more than one needs REDIS_URL.'),
    nodeEnv: z
      .string()
      .optional()
      .describe('With `production` the server starts only with key material for tokens.'),

    jwtSecret: secrets
      .default([])
      .describe(
        'HMAC secrets for tokens, separated by spaces or commas; each should have 32 bytes or more, shorter ones are warned of, and of several none may have less than 16. All are accepted, so a new one can be brought in before the old one goes. As an option a string is one secret, whatever is in it, and an array several.',
      ),
    jwtPublicKey: publicKeys
      .default([])
      .describe(
        'Public keys in PEM form (RSA, EC or Ed25519), one behind the other; \\n may stand for a line break.',
      ),
    jwksUrl: keyAddress
      .optional()
      .describe(
        'Address of a JSON Web Key Set (RFC 7517), whose RSA, EC and Ed25519 keys verify tokens as public keys do. Read again every 5 minutes, and when a token names a key that is not in it.',
      ),
    jwtIssuers: list(keyAddress)
      .default([])
      .describe(
        'OpenID Connect issuers, exactly as they stand in `iss`; each verifies tokens with the keys that its discovery document names, and with no others. JWT_AUDIENCE must be set.',
      ),
    jwtAlgorithms: list(algorithm)
      .optional()
      .describe(
        'Accepted algorithms. Unset: HS256 for secrets; RS256, ES256/384/512 or EdDSA as the public key is.',
      ),
    jwtAudience: list().default([]).describe('A token must be for one of these (`aud`), when any is set.'),
    jwtIssuer: list().default([]).describe('A token must be from one of these (`iss`), when any is set.'),
    jwtClockToleranceMs: integer(0, HOUR_MS)
      .default(0)
      .describe('Leeway for `exp` and `nbf`, for clocks that differ; the same at connect and at expiry.'),
    jwtRequireExp: flag().default(true).describe('Refuse tokens that never expire.'),
    jwtRequireSub: flag()
      .default(true)
      .describe('Refuse tokens without `sub`; if allowed, such clients are the user `anonymous`.'),
    revocationTtlMs: integer(1000, 366 * 24 * HOUR_MS)
      .default(30 * 24 * HOUR_MS)
      .describe(
        'How long a revocation is kept where it does not say itself: set it to the longest life of your tokens.',
      ),
    defaultCan: canJson
      .default({ join: ['*'], publish: ['*'], broadcast: true })
      .describe('Permissions of tokens without the claim `can`, as JSON.'),

    allowedOrigins: list(origin)
      .default([])
      .describe(
        'Origins whose pages may connect, exactly as browsers send them, without wildcards; pages in an app may be `null`, `file://` or of a scheme of their own. Empty: all. Clients without an Origin pass.',
      ),
    trustProxy: list(proxy)
      .default([])
      .describe(
        'Your proxies, whose X-Forwarded-For is believed: addresses, CIDR ranges, or loopback, linklocal, uniquelocal. Standalone server only.',
      ),
    maxClients: integer(1, 10_000_000)
      .default(100_000)
      .describe('More clients than this are refused with 503 full.'),
    connectRateMax: integer(0, 1_000_000)
      .default(3000)
      .describe(
        'Upgrades from one address (IPv6: one /64) in CONNECT_RATE_WINDOW_MS; more are refused with 429. 0: no limit. Users behind one NAT share an address.',
      ),
    connectRateWindowMs: integer(100, HOUR_MS).default(10_000).describe('Window of CONNECT_RATE_MAX.'),
    handshakeTimeoutMs: integer(500, MINUTE_MS)
      .default(8000)
      .describe('An HTTP request or upgrade that is not complete by then is cut.'),
    maxWaitingConnections: integer(0, 1_000_000)
      .default(4096)
      .describe(
        'Connections without a request: half-open handshakes, and those kept for another request. One address (IPv6: one /64) may have a quarter of them. Beyond, those that wait for longest are cut, but none of TRUST_PROXY. 0: no limit. Standalone server only.',
      ),
    maxMessageBytes: integer(1, 64 * 1024 * 1024)
      .default(524_288)
      .describe(
        'Largest inbound message; a larger one ends the client with 1009 as soon as its header shows it.',
      ),
    maxNesting: integer(1, 1000).default(64).describe('Deepest nesting of an envelope, itself included.'),
    maxRoomsPerClient: integer(1, 1_000_000).default(1000).describe('Rooms that one client may be in.'),
    messageRate: integer(0, 1_000_000)
      .default(100)
      .describe('Inbound frames a second and client, control frames included. 0: no limit.'),
    messageBurst: integer(1, 1_000_000)
      .default(1000)
      .describe('Inbound frames that a client may send at once.'),

    userRateFactor: integer(0, 1_000_000)
      .default(10)
      .describe(
        'All clients of one user together may send so many times MESSAGE_RATE and MESSAGE_BURST on a node, pongs left out; clients that are `anonymous` are counted by address. 0: no limit but that of each client.',
      ),
    outboxMaxBytes: integer(1024, 1024 * 1024 * 1024)
      .default(1_048_576)
      .describe('Bytes that may be added for a client while its socket has an untaken backlog.'),
    slowClient: z
      .enum(['disconnect', 'drop'])
      .default('disconnect')
      .describe(
        'What happens to a client whose outbox is full: Close 1013, or its room messages are dropped and counted.',
      ),
    pingIntervalMs: integer(100, HOUR_MS)
      .default(25_000)
      .describe('Time between pings. Keep it below the idle time-out of your proxies (often 60 s).'),
    pongTimeoutMs: integer(100, HOUR_MS)
      .default(20_000)
      .describe('After a ping, silence for this long ends in a destroyed socket.'),

    historySize: integer(0, 10_000)
      .default(100)
      .describe('Messages that a room keeps for clients that come back. 0: no history and no recovery.'),
    historyTtlMs: integer(1000, 24 * HOUR_MS)
      .default(300_000)
      .describe("How long a room's history outlives its last message."),
    historyTotalBytes: integer(1024, 1024 * 1024 * 1024 * 1024)
      .default(268_435_456)
      .describe(
        'Bytes that all rooms together keep in memory; beyond, the rooms idle for longest lose theirs. With Redis its `maxmemory` is the bound.',
      ),
    historyMaxBytes: integer(1024, 1024 * 1024 * 1024)
      .default(1_048_576)
      .describe('Bytes that a room keeps at most, however few messages that are.'),

    roomRules: roomRulesJson
      .default([])
      .describe(
        'What holds for rooms by their names, as JSON, or `@` and the name of a file of JSON: a list, whose first entry with a `match` that fits a name holds for that room. All nodes need the same (docs/PROTOCOL.md, *Rules of rooms*).',
      ),

    redisUrl: redisAddress
      .optional()
      .describe(
        'Redis, for more than one node: `redis://[user:password@]host:port`, `rediss://…`, `redis+sentinel://host:port,host:port/master-name` or `redis+cluster://host:port,host:port`, with TLS `rediss+cluster://…`. Unset: the in-memory bridge.',
      ),
    redisPrefix: z
      .string()
      .regex(/^[\w.:-]{1,64}$/, 'must be letters, digits and . _ : -')
      .default('roomcast:')
      .describe(
        'Begins the names of all keys and channels. Deployments that share a Redis need different ones: channels do not know database numbers.',
      ),
    bridgeTimeoutMs: integer(100, MINUTE_MS)
      .default(2000)
      .describe('How long a join waits for Redis; then it holds on this node only and says so.'),
    readyNeedsBridge: flag()
      .default(false)
      .describe(
        '`/health/ready` is 503 until Redis was there once, so that a roll-out with a wrong address or password does not pass. Later outages change nothing.',
      ),

    metrics: flag()
      .optional()
      .describe(
        '`GET /metrics` for Prometheus. Unset: on in the standalone server, off in an app that embeds roomcast. Keep it from the public at your proxy.',
      ),
    hookUrl: hookAddress
      .optional()
      .describe('A back end that is asked by HTTP what HOOKS names (docs/HOOKS.md).'),
    hooks: list(z.enum(hookNames, 'must be of connect, join, publish, call'))
      .default([])
      .describe('What HOOK_URL is asked: `connect`, `join`, `publish`, `call`, or several of them.'),
    hookSecret: list(webhookSecret)
      .default([])
      .describe(
        'Secrets of Standard Webhooks (`whsec_` and the base64 of 24 to 64 bytes) that requests to HOOK_URL are signed with, each with all of them, so that they can be rotated.',
      ),
    hookTimeoutMs: integer(10, MINUTE_MS)
      .default(2000)
      .describe(
        'How long the answer of a hook or call is waited for, 3 s at most where a client wants to connect; then it is `unavailable`.',
      ),
    hookMaxPending: integer(1, 100_000)
      .default(1000)
      .describe('Hooks and calls under way at once; beyond, what would need another is `unavailable`.'),
    hookFail: z
      .enum(['closed', 'open'])
      .default('closed')
      .describe(
        'What a hook that fails or does not answer in time means: `closed` refuses what was asked about, `open` allows it. Calls fail either way, and so does what is beyond HOOK_MAX_PENDING.',
      ),

    webhookUrl: list(hookAddress)
      .default([])
      .describe('Receivers that are told of events by HTTP (docs/WEBHOOKS.md), each of all.'),
    webhookSecret: list(webhookSecret)
      .default([])
      .describe('Secrets of Standard Webhooks that those requests are signed with, as HOOK_SECRET.'),
    webhookEvents: list(z.enum(eventNames, `must be of ${eventNames.join(', ')}`))
      .default([...eventNames])
      .describe('What they are told of.'),
    webhookFormat: z
      .enum(webhookFormats)
      .default('json')
      .describe('How: `json`, or `cloudevents` in batched content mode.'),
    webhookTimeoutMs: integer(10, MINUTE_MS)
      .default(10_000)
      .describe('A receiver that has not answered by then has failed, and is sent the same again.'),
    webhookQueueMaxBytes: integer(65_536, 1024 * 1024 * 1024)
      .default(8_388_608)
      .describe('Bytes of events that wait for one receiver; beyond, new ones are dropped and counted.'),

    apiKeys: apiKeys
      .default([])
      .describe(
        'Who may use the HTTP API (docs/BACKENDS.md): `name:secret`, several of them separated by spaces or commas; or JSON, or `@` and the name of a file of JSON, as `[{"name": …, "secret": …, "can": {…}}]` where a key may not do everything. A secret has 16 characters or more. Without any there is no API, except in development, where a key is made and printed.',
      ),

    apiDocs: flag()
      .optional()
      .describe(
        '`GET /api/v1/docs`, a page about the API. Unset: on in the standalone server unless NODE_ENV is `production`, off in an app that embeds roomcast.',
      ),

    clientJs: flag()
      .optional()
      .describe(
        '`GET /client.js`, the client for pages that load it by themselves (CLIENT.md). Unset: as API_DOCS.',
      ),

    console: flag()
      .optional()
      .describe(
        '`GET /console`, a page to watch and try the hub (CONSOLE.md); what it shows needs a key of the API, or an admin token. Unset: as API_DOCS.',
      ),

    drainMs: integer(0, HOUR_MS)
      .default(0)
      .describe('At shutdown, time over which the clients are told to go.'),
    shutdownGraceMs: integer(0, HOUR_MS)
      .default(10_000)
      .describe('At shutdown, sockets still open after this are destroyed. Keep it above DRAIN_MS.'),
  })
  .refine(({ workers, redisUrl }) => workers <= 1 || redisUrl !== undefined, {
    path: ['workers'],
    error: 'more than one needs REDIS_URL, over which they reach each other',
  })
  .refine(({ readyNeedsBridge, redisUrl }) => !readyNeedsBridge || redisUrl !== undefined, {
    path: ['readyNeedsBridge'],
    error: 'needs REDIS_URL: in memory the bridge is always up',
  })
  .superRefine((config, context) => {
    const isSet = config.hookUrl !== undefined
    for (const key of ['hooks', 'hookSecret'] as const) {
      const message = isSet ? 'must be set with HOOK_URL (hookUrl)' : 'needs HOOK_URL (hookUrl)'
      if (isSet !== config[key].length > 0) context.addIssue({ code: 'custom', path: [key], message })
    }
  })
  .refine(({ webhookUrl, webhookSecret }) => webhookUrl.length > 0 === webhookSecret.length > 0, {
    path: ['webhookSecret'],
    error: 'goes with WEBHOOK_URL (webhookUrl): set both or neither',
  })
  .refine(({ jwtIssuers, jwtAudience }) => jwtIssuers.length === 0 || jwtAudience.length > 0, {
    path: ['jwtIssuers'],
    error: 'needs JWT_AUDIENCE (jwtAudience): an issuer signs tokens for other apps, too',
  })
  .refine(({ drainMs, shutdownGraceMs }) => drainMs <= shutdownGraceMs, {
    path: ['drainMs'],
    error: 'must not be above SHUTDOWN_GRACE_MS (shutdownGraceMs)',
  })
