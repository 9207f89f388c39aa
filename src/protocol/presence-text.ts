import type { RequestId } from './envelope.ts'

/** A user as members are told of one; `info` is JSON text and is put in as it stands. */
export interface NamedUser {
  user: string
  info: string | undefined
}

/** What `presence` says of a room, without its beginning: `presenceText` makes the envelope. */
export function presenceBody(
  room: string,
  count: number,
  users: readonly (NamedUser & { clients: number })[],
  hasMore: boolean,
): string {
  const list = users.map((one) => `{${named(one)},"clients":${one.clients}}`)
  // A rule may want the number alone.
  const usersPart = list.length === 0 && hasMore ? '' : `,"users":[${list.join(',')}]`
  return `"room":${JSON.stringify(room)},"count":${count}${usersPart}${hasMore ? ',"more":true' : ''}}`
}

/** The text of a `presence`; `body` is of `presenceBody`. */
export function presenceText(id: RequestId | undefined, body: string): string {
  return `{"type":"presence",${id === undefined ? '' : `"id":${JSON.stringify(id)},`}${body}`
}

/** The text of a `member`: with the changes, or with the number of users alone. */
export function memberText(
  room: string,
  count: number,
  entered: readonly NamedUser[] = [],
  left: readonly string[] = [],
): string {
  const enteredPart =
    entered.length === 0 ? '' : `,"entered":[${entered.map((one) => `{${named(one)}}`).join(',')}]`
  const leftPart = left.length === 0 ? '' : `,"left":${JSON.stringify(left)}`
  return `{"type":"member","room":${JSON.stringify(room)},"count":${count}${enteredPart}${leftPart}}`
}

function named({ user, info }: NamedUser): string {
  return `"user":${JSON.stringify(user)}${info === undefined ? '' : `,"info":${info}`}`
}
