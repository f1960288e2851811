/** What was seen on a host, in words. */
import type { HistoryEntry } from '../activation/history.ts'
import type { HeldLock, HostState } from '../activation/host-state.ts'
import type { KeptLog } from '../activation/kept-log.ts'
import { namedFiles } from '../deployment/boot-files.ts'
import type { Status } from '../deployment/status.ts'
import { formatDuration } from '../format.ts'
import { bad, good, type Line, quiet, strong } from '../screen/line.ts'
import { padded, widthOf } from '../screen/width.ts'
import { shortSystem } from './short-system.ts'

/** `✓ dave  generation 42  3s3l4cjb-nixos-system-dave-25.11`, then where it stands, and what is another system there. */
export function statusLines(name: string, state: Status, standing: string, now: number): Line[] {
  const { lock, running, profile, boot, booted, rewrittenBootFiles: rewritten } = state
  const agrees = lock === undefined && profile === running && boot === profile
  const fine = agrees && state.damagedBootFiles.length === 0
  const generation = state.generation === undefined ? 'no generation' : `generation ${state.generation}`
  const named = (system: string) => {
    const number = state.generations.findLast((one) => one.system === system)?.number
    return `${shortSystem(system) || 'none'}${number === undefined ? '' : ` (generation ${number})`}`
  }
  const rows: [string, string][] = [
    ...(agrees
      ? []
      : ([
          ['running', named(running)],
          ['profile', named(profile)],
          ['next boot', named(boot)],
        ] as [string, string][])),
    ['booted', named(booted)],
  ]
  return [
    [fine ? good('✓') : '·', ` ${name}  ${generation}  ${shortSystem(running)}`],
    ['    ', fine ? quiet(standing) : standing],
    ...(rewritten.length > 0
      ? [[`    was damaged, as after a power cut, and is written again: ${namedFiles(rewritten)}`]]
      : []),
    ...(lock ? lockLines(lock, now) : []),
    ...(agrees && booted === running
      ? []
      : rows.map(([what, system]): Line => [quiet(`    ${padded(what, 9)}  ${system}`)])),
  ]
}

/** The deployment that holds the host: which, since when, and when it ends by itself. */
function lockLines({ id, alive, since, secondsLeft }: HeldLock, now: number): Line[] {
  const age = now - Date.parse(since)
  const begun = Number.isNaN(age) ? '' : ` since ${localTime(Date.parse(since))} (${formatDuration(Math.max(0, age))})`
  return [
    [`    deployment ${id}${begun}`],
    ...(alive && secondsLeft !== undefined
      ? [[`    rolls back by itself in ${Math.max(0, secondsLeft)} s unless it is confirmed`]]
      : []),
    ...(alive ? [] : [['    the next `deploy` or `deploy unlock` finishes it']]),
  ]
}

/** Newest first, with what marks a generation: current, running, booted, boots next. */
export function generationLines(name: string, state: HostState): Line[] {
  const marksOf = ({ number, system }: HostState['generations'][number]) => [
    ...(number === state.generation ? ['current'] : []),
    ...(system === state.running ? ['running'] : []),
    ...(system === state.booted ? ['booted'] : []),
    ...(system === state.boot ? ['next boot'] : []),
  ]
  const rows = [...state.generations].sort((a, b) => b.number - a.number)
  return [
    [strong(name.trimEnd())],
    ...table(
      rows.map((row) => [String(row.number), localTime(row.time), shortSystem(row.system), marksOf(row).join(', ')]),
    ),
    ...(rows.length === 0 ? [['  no generations in the system profile']] : []),
  ]
}

const isFailed = (row: HistoryEntry | undefined): boolean =>
  row !== undefined && !['deployed', 'staged', 'tested'].includes(row.outcome)

/** Newest first. */
export function historyLines(name: string, entries: readonly HistoryEntry[]): Line[] {
  const rows = [...entries].reverse()
  const lines = table(
    rows.map((row) => [
      localTime(Date.parse(row.started)),
      row.by,
      row.mode,
      row.outcome,
      // A system that was sent back got none.
      row.generation && !isFailed(row) ? `generation ${row.generation}` : '',
      shortSystem(row.toplevel),
      row.revision.slice(0, 12),
      row.id,
      row.reason,
    ]),
  )
  return [
    [strong(name.trimEnd())],
    ...lines.map((line, index): Line => [isFailed(rows[index]) ? bad('✗') : good('✓'), ...line.slice(1)]),
    ...(rows.length === 0 ? [['  nothing was deployed to it yet']] : []),
  ]
}

/** Which deployment it was and how it ended, then what its switch printed, as it is. */
export function logLines(name: string, { id, underWay, entry, lines }: KeptLog): Line[] {
  const how = entry ? `${entry.outcome}, begun ${localTime(Date.parse(entry.started))} by ${entry.by}` : ''
  return [
    [strong(name.trimEnd()), `  ${id}  `, quiet(underWay ? 'under way: its log so far' : how)],
    ...lines.map((line): Line => [line]),
  ]
}

/** Columns as wide as they need; those that are empty in every row are left out. Each line begins with a blank of its own. */
function table(rows: readonly (readonly string[])[]): Line[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => widthOf(row[column] ?? ''))))
  return rows.map((row): Line => {
    const cells = row.flatMap((cell, column) => (widths[column] ? [padded(cell, widths[column])] : []))
    return [' ', ` ${cells.join('  ')}`]
  })
}

/** `2026-03-01 14:05`, in the time zone of the control machine. */
function localTime(milliseconds: number): string {
  if (!Number.isFinite(milliseconds)) return 'unknown'
  const date = new Date(milliseconds)
  const two = (number: number) => String(number).padStart(2, '0')
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}`
}
