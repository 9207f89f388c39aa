/**
 * Who is told of users in rooms whose rule has presence. As a rule one node tells of each: the one that the user came to,
 * or left last. Must not throw.
 */
export interface RoomWatch {
  /** The first client of a user is in the room; or the last has left, and was waited for. */
  entered(node: string, room: string, user: string): void
  left(node: string, room: string, user: string): void
  /** The first user is in the room, or the last has left. */
  occupied(node: string, room: string): void
  vacated(node: string, room: string): void
}
