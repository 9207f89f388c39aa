import type { Command } from 'commander'

/** A subcommand: one line of what it does, and how to get it once it is asked for. */
interface Entry {
  summary: string
  load(): Promise<Command>
}

/** Every subcommand. What a command needs is loaded when it is called, and not before. */
export const commands: Record<string, Entry> = {
  serve: {
    summary: 'start the server; also what happens without a command',
    load: async () => (await import('./commands/serve.ts')).serveCommand(),
  },
  token: {
    summary: 'print a token for development',
    load: async () => (await import('./commands/token.ts')).tokenCommand(),
  },
  verify: {
    summary: 'say whether a token holds, and if not why',
    load: async () => (await import('./commands/verify.ts')).verifyCommand(),
  },
  explain: {
    summary: 'say what an error code, a close code or a log line means',
    load: async () => (await import('./commands/explain.ts')).explainCommand(),
  },
  publish: {
    summary: 'publish to a room by the HTTP API',
    load: async () => (await import('./commands/publish.ts')).publishCommand(),
  },
  rooms: {
    summary: 'list the rooms, or who is in one',
    load: async () => (await import('./commands/rooms.ts')).roomsCommand(),
  },
  users: {
    summary: "show a user's clients",
    load: async () => (await import('./commands/users.ts')).usersCommand(),
  },
  disconnect: {
    summary: "end a user's clients, or put it out of a room",
    load: async () => (await import('./commands/disconnect.ts')).disconnectCommand(),
  },
  stats: {
    summary: 'watch the nodes of the cluster',
    load: async () => (await import('./commands/stats.ts')).statsCommand(),
  },
  tail: {
    summary: 'print what is said in rooms, as it comes',
    load: async () => (await import('./commands/tail.ts')).tailCommand(),
  },
  send: {
    summary: 'say something in a room, or talk there',
    load: async () => (await import('./commands/send.ts')).sendCommand(),
  },
  check: {
    summary: 'look for what is wrong before a start',
    load: async () => (await import('./commands/check.ts')).checkCommand(),
  },
  doctor: {
    summary: 'look for what is wrong from outside, through the proxy',
    load: async () => (await import('./commands/doctor.ts')).doctorCommand(),
  },
  bench: {
    summary: 'put a load on a server, and measure it',
    load: async () => (await import('./commands/bench.ts')).benchCommand(),
  },
  conformance: {
    summary: 'check from outside whether a server speaks the protocol',
    load: async () => (await import('./commands/conformance.ts')).conformanceCommand(),
  },
  completions: {
    summary: 'print the completions for bash, zsh or fish',
    load: async () => (await import('./commands/completions.ts')).completionsCommand(),
  },
}
