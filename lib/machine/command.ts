/** Commands as data. They become text in one place, `commandLine`, and run in one place, the edge. */

export interface Command {
  /** Program and arguments, never parsed by any shell. */
  readonly argv: readonly string[]
  /** Run as root, by the machine's way of elevation. */
  readonly asRoot?: boolean
}

/** How a login becomes root. `none` logs in as root; `ask` writes a password to sudo's standard input. */
export type Elevation = 'passwordless' | 'ask' | 'none' | 'doas' | 'run0'

/**
 * Quotes one word for a login shell that we don't know: sh, bash, dash, zsh and fish read it alike.
 * In fish a backslash inside single quotes is special, so backslashes and single quotes leave the
 * single quotes and stand in double ones. Throws on a NUL, which no argument can carry.
 */
export function quote(word: string): string {
  if (word.includes('\0')) throw new RangeError('an argument cannot contain a NUL character')
  // A word with `=` would be an assignment in front of a command, and zsh expands one that starts with it.
  if (/^(--?[A-Za-z0-9_/:=.,@+-]+|[A-Za-z0-9_/:.,@+-]+)$/.test(word)) return word
  const parts = word.split(/(['\\]+)/).filter((part) => part !== '')
  if (parts.length === 0) return "''"
  return parts
    .map((part) => {
      if (part.startsWith("'")) return part.includes('\\') ? quoteMixed(part) : `"${part}"`
      if (part.startsWith('\\')) return quoteMixed(part)
      return `'${part}'`
    })
    .join('')
}

/** A run of single quotes and backslashes, in double quotes, where every one of those shells unescapes `\\`. */
const quoteMixed = (run: string) => `"${run.replaceAll('\\', '\\\\')}"`

const elevated: Record<Elevation, readonly string[]> = {
  passwordless: ['sudo', '-n', '--'],
  ask: ['sudo', '-S', '-p', '', '--'],
  none: [],
  doas: ['doas', '-n', '--'],
  run0: ['run0', '--no-ask-password', '--pipe', '--'],
}

/** Program and arguments with the machine's way of elevation in front, if the command wants it. */
export function elevate(command: Command, elevation: Elevation): readonly string[] {
  return command.asRoot ? [...elevated[elevation], ...command.argv] : command.argv
}

/** The line that is given to the login shell of the machine. */
export function commandLine(command: Command, elevation: Elevation): string {
  return elevate(command, elevation).map(quote).join(' ')
}

/** Quotes one word for a POSIX shell that we started ourselves (`/bin/sh`), newlines and all. Throws on a NUL. */
export function quotePosix(word: string): string {
  if (word.includes('\0')) throw new RangeError('a shell word cannot contain a NUL character')
  return `'${word.replaceAll("'", "'\\''")}'`
}

/** A command as it is named in a message: enough to recognise it, on one line. */
export function brief(argv: readonly string[]): string {
  const text = argv.join(' ').replace(/\s+/g, ' ')
  return `'${text.length > 60 ? `${text.slice(0, 59)}…` : text}'`
}
