/** Durations as people write them in hosts.yaml: `500ms`, `10s`, `5m`, `1h`, `1m30s`, `30d`. Never a bare number. */

export const durationPattern = /^(?=\d)(?:\d{1,9}d)?(?:\d{1,9}h)?(?:\d{1,9}m(?!s))?(?:\d{1,9}s)?(?:\d{1,9}ms)?$/

const day = 86_400_000
const units = { h: 3_600_000, m: 60_000, s: 1000, ms: 1 } as const

/** Milliseconds, or undefined when the text is not a duration. */
export function parseDuration(text: string): number | undefined {
  if (!durationPattern.test(text)) return undefined
  let milliseconds = 0
  for (const [, count, unit] of text.matchAll(/(\d+)(ms|d|h|m|s)/g)) {
    milliseconds += Number(count) * (unit === 'd' ? day : units[unit as keyof typeof units])
  }
  return milliseconds
}

/** The same in words: `90000` is `1m30s`, zero is `0s`. */
export function showDuration(milliseconds: number): string {
  let rest = Math.round(milliseconds)
  let text = ''
  for (const [unit, size] of Object.entries(units)) {
    const count = Math.floor(rest / size)
    rest -= count * size
    if (count > 0) text += `${count}${unit}`
  }
  return text || '0s'
}
