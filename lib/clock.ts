/** Time, handed in from the edge so that tests don't have to wait for it. */
export interface Clock {
  /** Milliseconds of a clock that only goes forward. */
  monotonic(): number
  /** The date, for records. */
  now(): Date
  /** Resolves after that many milliseconds; rejects with the signal's reason when aborted. */
  sleep(milliseconds: number, signal?: AbortSignal): Promise<void>
}
