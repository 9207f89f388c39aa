/** What has happened on this node since its start; each only grows. */
export class Counters {
  connects = 0
  published = 0
  /** Publishes that reached this node's members only. */
  nodeScoped = 0
  /** Messages of rooms with members here that never arrived, as the gaps in the offsets show. */
  missed = 0
  /** Room messages dropped for slow clients. */
  drops = 0
  slowDisconnects = 0
  silentDisconnects = 0
  /** Frames refused by the message rate. */
  rateLimited = 0
}
