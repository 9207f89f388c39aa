import { check, Skip, section } from '../check.ts'
import { expectEqual, expectFields, expectTrue, shown } from '../expect.ts'
import { type Answer, jsonOf } from '../request.ts'
import type { Visit } from '../visit.ts'

/** Proxies often keep it to themselves. */
async function get(visit: Visit, path: string): Promise<Answer> {
  const answer = await visit.send(path)
  if (answer.status === 404 || answer.status === 403) throw new Skip(`${path} is kept from the outside`)
  return answer
}

export const health = section(
  'Health',
  [
    check('/health is 200 with the figures of the node', async (visit) => {
      const answer = await get(visit, '/health')
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
      const answer = await get(visit, '/health/live')
      expectEqual(answer.status, 200, 'the status')
      expectFields(jsonOf(answer), { status: 'live' }, 'the answer')
    }),
    check('/health/ready says that it takes new clients', async (visit) => {
      const answer = await get(visit, '/health/ready')
      expectEqual(answer.status, 200, 'the status')
      expectFields(jsonOf(answer), { status: 'ready' }, 'the answer')
    }),
  ],
  'OPERATIONS.md',
)
