/** The terminal, as everybody but lib/edge/terminal.ts sees it. */
import type { Line } from './line.ts'

export interface Screen {
  /** undefined when nobody looks at it on a terminal: lines are then never cut */
  readonly columns: number | undefined
  /** Whole lines. After the reader has gone (`| head`) this does nothing. */
  print(lines: readonly Line[]): void
  /** Text as it is, which must end with a newline. */
  write(text: string): void
}

/** Lines at the bottom of the terminal that change while work goes on. */
export interface Live {
  stop(): void
}

export interface Terminal {
  /** results */
  readonly out: Screen
  /** all else */
  readonly err: Screen
  /** a person may be looking at the messages */
  readonly isWatched: boolean
  /** lines on it can be written over */
  readonly animates: boolean
  /** One at a time. Asks for the lines several times a second; at most `rows` of them. Does nothing where it can't animate. */
  live(frame: (rows: number) => readonly Line[]): Live
  /**
   * Asks a question and reads the answer without showing it; one question at a time. Rejects with a Problem where
   * nobody can answer, and when the person presses Ctrl-C or the signal is aborted.
   */
  askHidden(question: string, signal: AbortSignal): Promise<string>
}
