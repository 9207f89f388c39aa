import type { z } from 'zod'
import type {
  clientAnswer,
  clientFigures,
  clusterAnswer,
  historyAnswer,
  membersAnswer,
  roomAnswer,
  roomsPage,
  userAnswer,
} from '../../src/protocol/api.ts'

export type Cluster = z.infer<typeof clusterAnswer>
export type RoomsPage = z.infer<typeof roomsPage>
export type RoomAnswer = z.infer<typeof roomAnswer>
export type Members = z.infer<typeof membersAnswer>
export type History = z.infer<typeof historyAnswer>
export type UserAnswer = z.infer<typeof userAnswer>
export type ClientAnswer = z.infer<typeof clientAnswer>
export type ClientFigures = z.infer<typeof clientFigures>
