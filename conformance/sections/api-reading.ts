import { check, section } from '../check.ts'
import { expectEqual, expectFields, expectTrue, shown } from '../expect.ts'
import { contentsOf, type Envelope } from '../mailbox.ts'
import { positionIn } from '../visit.ts'
import { api, apiAs, BACKENDS, expectProblem, granted, messagesOf } from './api.ts'

export const apiReading = section(
  'Reading',
  [
    check('a room’s history: the newest, `limit`, and what follows `since`', async (visit) => {
      await granted(visit, '/cluster')
      const room = visit.room()
      const { epoch, offset } = positionIn(await (await visit.connect()).join(room))
      await visit.said(room, 3)
      const read = async (query: string) => {
        const body = await granted(visit, `${messagesOf(room)}${query}`)
        return { ...body, contents: contentsOf(body.messages as Envelope[]) }
      }
      expectFields(await read(''), { contents: [1, 2, 3], epoch, offset: offset + 3 }, 'all')
      expectFields(await read('?limit=2'), { contents: [2, 3] }, 'the newest two')
      const after = await read(`?since=${epoch}:${offset + 1}`)
      expectFields(after, { contents: [2, 3], recovered: true }, 'after the first')
      expectFields(await read('?since=another:0'), { contents: [], recovered: false }, 'of another epoch')
    }),
    check('a room’s members and users are counted', async (visit) => {
      await granted(visit, '/cluster')
      const [room, sub] = [visit.room(), visit.target.user()]
      for (const options of [{ sub }, { sub }, {}]) await visit.member(room, options)
      const counts = await granted(visit, `/rooms/${room}`)
      expectFields(counts, { room, members: 3, users: 2 }, 'the room')
      const { users, count } = await granted(visit, `/rooms/${room}/members`)
      expectEqual(count, 2, 'the number of users')
      const own = (users as { user: string; clients: number }[]).find(({ user }) => user === sub)
      expectEqual(own?.clients, 2, 'the clients of the user')
    }),
    check('rooms are listed by their prefix, page by page', async (visit) => {
      await granted(visit, '/cluster')
      const prefix = visit.room()
      const names = ['.a', '.b', '.c'].map((end) => `${prefix}${end}`)
      const client = await visit.connect()
      for (const room of names) await client.join(room)
      const list = async (query: string) => {
        const { rooms, more } = await granted(visit, `/rooms?prefix=${prefix}&limit=2${query}`)
        return { names: (rooms as { room: string }[]).map(({ room }) => room), more }
      }
      expectEqual(await list(''), { names: names.slice(0, 2), more: true }, 'the first page')
      expectEqual(await list(`&after=${names[1]}`), { names: names.slice(2), more: false }, 'the second')
    }),
    check('a user’s clients, and each by its id', async (visit) => {
      await granted(visit, '/cluster')
      const [room, sub] = [visit.room(), visit.target.user()]
      const client = await visit.member(room, { sub })
      const { clients } = await granted(visit, `/users/${sub}`)
      const ids = (clients as { client: string }[]).map((one) => one.client)
      expectEqual(ids, [client.client], 'the ids')
      const figures = await granted(visit, `/clients/${client.client}`)
      expectFields(figures, { client: client.client, user: sub, rooms: [room] }, 'the client')
    }),
    check('a client that is not there is 404 not_found', async (visit) => {
      expectProblem(await api(visit, '/clients/nobody'), 404, 'not_found')
    }),
    check('the nodes, and who has answered', async (visit) => {
      const body = await granted(visit, '/cluster')
      const nodes = body.cluster as { node: string }[]
      expectTrue(Array.isArray(nodes) && nodes.length > 0, `there is no node in ${shown(body)}`)
      const { asked, answered, missing } = body.nodes as Record<string, unknown>
      expectTrue(Number(asked) >= Number(answered), `nodes is ${shown(body.nodes)}`)
      expectTrue(Array.isArray(missing), `nodes is ${shown(body.nodes)}`)
    }),
    check('is not for the tokens of users', async (visit) => {
      await granted(visit, '/cluster')
      const answer = await apiAs(visit, visit.target.token(), '/cluster', {})
      expectProblem(answer, 403, 'forbidden')
    }),
    check('is for tokens with `can.admin`', async (visit) => {
      await granted(visit, '/cluster')
      const token = visit.target.token({ can: { admin: true } })
      expectEqual((await apiAs(visit, token, '/cluster', {})).status, 200, 'the status')
    }),
  ],
  BACKENDS,
)
