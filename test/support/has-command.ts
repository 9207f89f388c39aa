import { existsSync } from 'node:fs'

/** Whether this machine has the program, also where only root looks. */
export function hasCommand(name: string): boolean {
  const folders = [...(process.env.PATH ?? '').split(':'), '/usr/sbin', '/sbin']
  return folders.some((folder) => folder !== '' && existsSync(`${folder}/${name}`))
}
