import { useCallback, useEffect, useRef, useSyncExternalStore } from 'react'
import { type Held, hold, NOTHING, publishIn, viewOf, type Wish } from './held-rooms.ts'
import type { Ack, Calls, ContentOf, Hub, Message, RoomName, RoomOptions, Rooms, User } from './types.ts'

/** What a component sees of a room. */
export interface RoomView<Content> {
  /** What was said since the first component came, oldest first: the newest `keep` of it. */
  messages: readonly Message<Content>[]
  /** Whether its messages come. */
  isJoined: boolean
  /** Why the server does not let us in. */
  error: Error | undefined
  /** Resolves when the server has taken it. The same function for as long as hub and name are the same. */
  publish(content: Content, options?: { keep?: boolean }): Promise<Ack>
}

/** Those of `last` and `presence` that count are those of the components that come first. */
export interface UseRoomOptions extends RoomOptions {
  /** So many messages are kept for the component. Default 200. */
  keep?: number
}

/** Is in a room while a component that uses it is there. All that use the same room share one join. */
export function useRoom<All extends Rooms, Methods extends Calls, Name extends RoomName<All>>(
  hub: Hub<All, Methods>,
  name: Name,
  { keep = 200, last, presence, reload }: UseRoomOptions = {},
): RoomView<ContentOf<All, Name>> {
  const latest = useRef(reload)
  useEffect(() => {
    latest.current = reload
  })
  const { messages, isJoined, error } = useHeld(hub, name, { keep, last, presence, reload: latest })
  const publish = useCallback<RoomView<ContentOf<All, Name>>['publish']>(
    (content, options) => publishIn(hub as Hub, name, content, options),
    [hub, name],
  )
  return { messages: messages as readonly Message<ContentOf<All, Name>>[], isJoined, error, publish }
}

/** The users in a room, and how many they are; undefined until the server has said so. */
export function usePresence<All extends Rooms, Methods extends Calls, Name extends RoomName<All>>(
  hub: Hub<All, Methods>,
  name: Name,
): { users: readonly User[] | undefined; count: number | undefined } {
  const { users, count } = useHeld(hub, name, { presence: true })
  return { users, count }
}

function useHeld(hub: unknown, name: string, { keep = 0, last, presence, reload }: Wish): Held {
  const subscribe = useCallback(
    (notify: () => void) =>
      hold(hub as Hub, name, { keep, last, presence, ...(reload && { reload }) }, notify),
    [hub, name, keep, last, presence, reload],
  )
  return useSyncExternalStore(
    subscribe,
    () => viewOf(hub as Hub, name),
    () => NOTHING,
  )
}
