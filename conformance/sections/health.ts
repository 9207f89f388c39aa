import { check, section } from '../check.ts'
import { expectEqual, expectFields, expectTrue, shown } from '../expect.ts'
import { jsonOf } from '../request.ts'

export const health = section(
  'Health',
  [
    check('/health is 200 with the figures of the node', async (visit) => {
      const answer = await visit.send('/health')
      const body = jsonOf(answer)
      expectEqual(answer.status, 200, 'the status')
      expectTrue(['healthy', 'degraded'].includes(String(body.status)), `status is ${shown(body.status)}`)
      for (const name of ['clients', 'rooms', 'uptimeMs'])
        expectTrue(Number.isInteger(body[name]), `\`${name}\` is ${shown(body[name])}`)
      expectTrue(typeof body.node === 'string', `\`node\` is ${shown(body.node)}`)
      const { state } = (body.bridge ?? {}) as Record<string, unknown>
      expectTrue(state === 'up' || state === 'down', `the bridge is ${shown(body.bridge)}`)
    }),
    check('/health/live says that the process runs', async (visit) => {
      const answer = await visit.send('/health/live')
      expectEqual(answer.status, 200, 'the status')
      expectFields(jsonOf(answer), { status: 'live' }, 'the answer')
    }),
    check('/health/ready says that it takes new clients', async (visit) => {
      const answer = await visit.send('/health/ready')
      expectEqual(answer.status, 200, 'the status')
      expectFields(jsonOf(answer), { status: 'ready' }, 'the answer')
    }),
  ],
  'OPERATIONS.md',
)
