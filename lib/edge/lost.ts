/** The connection went away: what is said of it. */
import { brief } from '../machine/command.ts'
import { Problem } from '../problem.ts'

export function lost(name: string): Problem {
  return new Problem(`the connection to ${name} was lost`, { kind: 'unreachable', host: name })
}

export function lostWhile(name: string, argv: readonly string[]): Problem {
  return new Problem(`the connection to ${name} was lost while running ${brief(argv)}`, {
    kind: 'unreachable',
    host: name,
  })
}
