import { InvalidArgumentError } from 'commander'
import { isRoomName } from '../src/protocol/envelope.ts'

// Readers of arguments: each gives a value, or says what it must be.

const units: Record<string, number> = { '': 1, s: 1, m: 60, h: 3600, d: 86_400 }

/** 90, 90s, 15m, 12h, 7d → seconds. */
export function duration(text: string): number {
  const [, number, unit = ''] = /^(\d{1,9})([smhd]?)$/.exec(text) ?? []
  if (number === undefined || Number(number) === 0)
    throw new InvalidArgumentError('It is a number of seconds, or such as 15m, 12h or 7d.')
  return Number(number) * (units[unit] ?? 1)
}

/** Any JSON. */
export function json(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new InvalidArgumentError('It is no JSON.')
  }
}

/** A whole number from 1. */
export function count(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError('It is a whole number from 1.')
  return Number(text)
}

/** The name of a room. */
export function room(text: string): string {
  if (!isRoomName(text))
    throw new InvalidArgumentError('A room has 1 to 128 bytes, and no control characters.')
  return text
}

/** Where a server is: its http address, without a slash at the end. */
export function address(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || !/^(https?|wss?):$/.test(url.protocol))
    throw new InvalidArgumentError('It is an address as http://host:port or wss://host.')
  const path = url.pathname.replace(/(\/ws)?\/*$/, '')
  return `${url.protocol.replace('ws', 'http')}//${url.host}${path}`
}
