/** What a host still lacks of the system that it is asked to run. */
import type { HostState } from '../activation/host-state.ts'
import type { Mode } from './tools.ts'

export type Steps =
  /** running system, profile and boot default are all the one asked for */
  | 'none'
  /** it runs, but would not survive a reboot: the profile or the boot loader lags behind */
  | 'make permanent'
  | 'activate'

export function stepsTo(goal: { system: string; toplevel: string; mode: Mode }, state: HostState): Steps {
  const runs = state.running === goal.system
  const isPermanent = state.profile === goal.toplevel && (state.boot === goal.toplevel || state.boot === 'unknown')
  switch (goal.mode) {
    case 'boot':
      return isPermanent ? 'none' : 'make permanent'
    case 'test':
      return runs ? 'none' : 'activate'
    case 'switch':
    case 'dry-activate':
      return runs ? (isPermanent ? 'none' : 'make permanent') : 'activate'
  }
}
