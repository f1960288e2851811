/** A lock, and what became of it, in words. */
import type { HeldLock } from '../activation/host-state.ts'
import { formatDuration } from '../format.ts'
import { standing } from '../deployment/status.ts'
import type { Unlocking } from '../deployment/unlock.ts'
import { careful, good, type Line, strong } from '../screen/line.ts'
import { wrapped } from '../screen/width.ts'
import { below } from './below.ts'
import type { Room } from './room.ts'
import { shortSystem } from './short-system.ts'

/** `ops@control since 2026-11-26T14:35:19.000Z (41 s), switch to 3s3l4cjb-nixos-system-dave-25.11, awaiting` */
export function lockText({ holder, since, mode, system, state }: HeldLock, ageMs: number | undefined): string {
  const begun = since && ` since ${since}`
  const age = ageMs === undefined ? '' : ` (${formatDuration(ageMs)})`
  const reason = mode && `, ${mode}${system && ` to ${shortSystem(system)}`}`
  return `${holder}${begun}${age}${reason}, ${state.replace('-', ' ')}`
}

export function unlockLines(name: string, { kind, lock, ageMs, result, state }: Unlocking, room: Room): Line[] {
  const columns = room.columns ?? Number.POSITIVE_INFINITY
  if (!lock) return [[good('✓'), ` ${name}  not locked`]]
  const whose = lockText(lock, ageMs)
  if (kind === 'held') {
    const hints = [
      ...(lock.secondsLeft === undefined
        ? []
        : [`it rolls back by itself in ${lock.secondsLeft} s unless it is confirmed`]),
      '`deploy unlock --force` calls it off: the host goes back to what it ran before',
    ]
    const line = [careful('✗'), ` ${name}  `, strong('locked'), `  by a deployment that is alive: ${whose}`]
    return [...wrapped(line, columns, 4), ...below({ detail: '', hints }, room)]
  }
  const end = result === undefined || result.end === 'unknown' ? '' : result.end.replace('-', ' ')
  const reason = result?.reason ? `: ${result.reason}` : ''
  const how = end ? `${end}${reason}` : 'it left nothing to finish'
  return [
    ...wrapped([good('✓'), ` ${name}  unlocked  ${kind}: the deployment of ${whose}`], columns, 4),
    ...wrapped([`    ${how}`], columns, 4),
    ...wrapped([`    runs ${shortSystem(state.running)}; ${standing(state)}`], columns, 4),
  ]
}
