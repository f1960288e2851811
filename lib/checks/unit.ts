/** A systemd unit of the host is healthy. */
import type { Machine } from '../machine/machine.ts'
import type { Check } from './check.ts'
import { endOfProgram, healthy, unhealthy } from './health.ts'
import { checkOf, type SpecOf } from './spec.ts'

/** org.freedesktop.systemd1(5) says what they mean; a property that a type of unit lacks is left out of the answer. */
const properties = [
  'LoadState',
  'ActiveState',
  'SubState',
  'Result',
  'Type',
  'NRestarts',
  'InactiveEnterTimestampMonotonic',
  'ConditionResult',
  'ConditionTimestampMonotonic',
] as const

type UnitState = Readonly<Partial<Record<(typeof properties)[number], string>>>

export function unitCheck(spec: SpecOf<'unit'>): Check {
  let restartsBefore: number | undefined
  return checkOf(spec, async ({ machine }, signal) => {
    const answer = await show(machine, spec.unit, signal)
    if (typeof answer === 'string') return unhealthy(answer)
    const restarts = Number(answer.NRestarts ?? 0)
    const restarted = restarts - (restartsBefore ?? restarts)
    restartsBefore = restarts
    const trouble = troubleOf(answer)
    if (trouble !== '') return unhealthy(trouble)
    // It looks well now, but it crashed since we last looked.
    return restarted > 0 ? unhealthy(`was restarted by systemd (${answer.Result})`) : healthy
  })
}

async function show(machine: Machine, unit: string, signal: AbortSignal): Promise<UnitState | string> {
  const argv = ['systemctl', 'show', `--property=${properties.join(',')}`, '--', unit]
  const { code, stdout, stderr } = await machine.run({ argv }, { signal })
  const end = endOfProgram(code, stderr)
  if (!end.healthy) return `systemctl ${end.reason}`
  return Object.fromEntries(
    stdout.split('\n').map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
  )
}

/** Empty when an operator would call the unit healthy. */
export function troubleOf(unit: UnitState): string {
  if (unit.LoadState === 'not-found') return 'is not known to systemd'
  if (unit.LoadState !== 'loaded') return `is ${unit.LoadState || 'in no state that systemd tells'}`
  const state = unit.ActiveState ?? 'in no state that systemd tells'
  if (state === 'active' || state === 'reloading' || state === 'refreshing') return ''
  if (state === 'inactive') return inactiveBecause(unit)
  const why = state === 'failed' ? unit.Result : unit.SubState
  return `is ${state}${why && why !== state ? ` (${why})` : ''}`
}

/** A oneshot service is done and well when it is inactive; a service that somebody stopped looks alike but for its type. */
function inactiveBecause(unit: UnitState): string {
  const isOneshot = unit.Type === 'oneshot'
  if (unit.ConditionResult === 'no' && Number(unit.ConditionTimestampMonotonic ?? 0) > 0) {
    return 'is inactive: a condition of the unit is not met'
  }
  const hasRun = Number(unit.InactiveEnterTimestampMonotonic ?? 0) > 0
  if (isOneshot && hasRun && unit.Result === 'success') return ''
  return isOneshot && !hasRun ? 'has not run since the boot' : 'is inactive'
}
