#!/usr/bin/env node
import { argv } from 'node:process'

// Without a word it is the server, whose signals, workers and start failures are its own affair; nothing else loads.
if (argv.length === 2 || (argv.length === 3 && argv[2] === 'serve')) await import('../src/server.ts')
else await (await import('./dispatch.ts')).dispatch(argv.slice(2))
