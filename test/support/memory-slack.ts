// Since V8 12 (Node 22) buffers that are let go are collected only when 64 MiB of them have come together
// (kExternalAllocationSoftLimit): that much is no leak. Measured: 92-109 MiB on Node 24 where it is 30-69 on Node 20.
const MB = 1024 * 1024

/** What a process may hold in buffers that nobody refers to, on this version of Node. */
export const BUFFER_SLACK = Number.parseInt(process.versions.node, 10) >= 22 ? 64 * MB : 0
