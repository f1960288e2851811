/** Nix's log as `--log-format internal-json` writes it (nix's src/libutil/logging.cc): a line is `@nix` and an object. */
import type { NixEvent } from './store.ts'

export type LogLine =
  | { kind: 'event'; event: Exclude<NixEvent, { kind: 'message' }> }
  /** 0 error, 1 warning, 2 notice, 3 information, above: talk */
  | { kind: 'message'; level: number; text: string }

/** Reads one line. What isn't Nix's own (git, ssh, a shell that finds no `nix`) is a message of level 0. */
export function parseLogLine(line: string): LogLine | undefined {
  if (!line.startsWith('@nix ')) return line.trim() === '' ? undefined : { kind: 'message', level: 0, text: line }
  let entry: Partial<Entry>
  try {
    entry = JSON.parse(line.slice('@nix '.length)) as Partial<Entry>
  } catch {
    return { kind: 'message', level: 0, text: line }
  }
  const { id = 0, type = 0, fields = [], text = '', parent = 0 } = entry
  switch (entry.action) {
    case 'msg':
      return { kind: 'message', level: entry.level ?? 0, text: entry.msg ?? '' }
    case 'start':
      return { kind: 'event', event: { kind: 'start', id, type, text, fields, parent } }
    case 'stop':
      return { kind: 'event', event: { kind: 'stop', id } }
    case 'result':
      return { kind: 'event', event: { kind: 'result', id, type, fields } }
    default:
      return undefined
  }
}

interface Entry {
  action: string
  id: number
  type: number
  level: number
  msg: string
  text: string
  fields: (string | number)[]
  parent: number
}
