import type { Published } from '../bridge/bridge.ts'
import type { From } from '../protocol/envelope.ts'

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

/** Who is told of the messages that are published here into rooms whose rule asks for that. Must not throw. */
export interface MessageWatch {
  published(node: string, message: PublishedMessage): void
}

/** `content` is the sender's own JSON text. */
export interface PublishedMessage {
  room: string
  content: string
  from: From
  published: Published
}

/** Tells of a message once the bridge has taken it, which never rejects; of a repeat was told before. */
export async function tellOf(
  watch: MessageWatch,
  node: string,
  message: Omit<PublishedMessage, 'published'>,
  publishing: Published | Promise<Published>,
): Promise<void> {
  const published = await publishing
  if (published.duplicate !== true) watch.published(node, { ...message, published })
}
