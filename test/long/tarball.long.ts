// The packed tarball, beside the oldest Fastify that it allows as well.
process.env.TEST_OLDEST_FASTIFY = 'true'
await import('../embedding/tarball.test.ts')
