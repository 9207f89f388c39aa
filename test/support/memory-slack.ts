// Newer versions of Node hold more buffers before they collect them: measured 92-109 MiB on Node 24 where it is 30-69 on
// Node 20, and no more in longer runs. V8's soft limit for memory outside its heap, 64 MiB, is the likely cause.
const MB = 1024 * 1024

/** What a process may hold in buffers that nobody refers to, on this version of Node. */
export const BUFFER_SLACK = Number.parseInt(process.versions.node, 10) >= 22 ? 64 * MB : 0
