export function makeTally(
  say: (text: string) => void,
  options?: { comments?: boolean },
): {
  /** takes one line of TAP */
  read(line: string): void
  counts: { passed: number; failed: number; skipped: number }
}
