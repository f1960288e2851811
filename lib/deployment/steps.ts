/** What a host still lacks of the system that it is asked to run. */
import type { HostState } from '../activation/host-state.ts'
import type { Host } from '../inventory/inventory.ts'
import type { Mode } from './tools.ts'

export type Steps =
  /** running system, profile and boot default are all the one asked for */
  | 'none'
  /** it runs, but would not survive a reboot: the profile or the boot loader lags behind */
  | 'make permanent'
  | 'activate'
  /** it runs, but its kernel, initrd or kernel modules have not booted */
  | 'reboot'

export interface Goal {
  system: string
  toplevel: string
  mode: Mode
  reboot: Host['reboot']
}

export function stepsTo(goal: Goal, state: HostState): Steps {
  const runs = state.running === goal.system
  const isPermanent = state.profile === goal.toplevel && (state.boot === goal.toplevel || state.boot === 'unknown')
  switch (goal.mode) {
    case 'boot':
      return isPermanent ? 'none' : 'make permanent'
    case 'test':
      return runs ? 'none' : 'activate'
    case 'switch':
    case 'dry-activate':
      if (!runs) return 'activate'
      if (goal.mode === 'switch' && goal.reboot === 'when-needed' && state.notBooted.length > 0) return 'reboot'
      return isPermanent ? 'none' : 'make permanent'
  }
}

/** Whether a host has nothing to do for that toplevel. What a specialisation is can only be told once it is there. */
export const isDone = (host: Host, mode: Mode, toplevel: string, state: HostState): boolean =>
  host.specialisation === undefined &&
  stepsTo({ system: toplevel, toplevel, mode, reboot: host.reboot }, state) === 'none'
