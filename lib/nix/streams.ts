/** The streams of a command that speaks one of Nix's protocols. */
import type { Readable, Writable } from 'node:stream'
import type { DaemonStreams } from './protocol/connection.ts'

/** A command under way, wherever it runs. */
interface Command {
  readonly stdin: Writable
  readonly stdout: Readable
  /** `lost`: the connection went away under it */
  readonly exit: Promise<{ readonly lost: boolean }>
  errorOutput(): string
  close(): void
}

/** `onLost` is called, and waited for, when the connection went away under the command. */
export function streamsOf(command: Command, onLost?: () => Promise<void>): DaemonStreams {
  let isOutOfReach = false
  const closed = command.exit.then(async ({ lost }) => {
    isOutOfReach = lost
    if (lost) await onLost?.()
  })
  return {
    input: command.stdin,
    output: command.stdout,
    errorOutput: () => command.errorOutput(),
    closed,
    isOutOfReach: () => isOutOfReach,
    close: () => command.close(),
  }
}
