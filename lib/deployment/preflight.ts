/** Everything that can be known to be wrong before anything is evaluated, copied or touched. */
import { type HostState, probe } from '../activation/host-state.ts'
import { recover } from '../activation/transaction.ts'
import type { Host } from '../inventory/inventory.ts'
import { Problem } from '../problem.ts'
import { mendBootFiles, namedFiles } from './boot-files.ts'
import { refuseUnfit } from './fitness.ts'
import type { Session } from './session.ts'
import type { Mode, Tools } from './tools.ts'

/** Logs in, asks once, and refuses what can't work. The state is the host's before the deployment. */
export async function preflight(host: Host, mode: Mode, session: Session, tools: Tools): Promise<HostState> {
  const machine = await session.machine(tools.signal)
  let state = await probe(machine, tools.program, tools.signal)
  if (state.lock && !state.lock.alive) {
    tools.report({
      kind: 'warning',
      host: host.name,
      text: `the deployment of ${state.lock.holder} was interrupted (${state.lock.state}); finishing it first`,
    })
    await recover({ machine, program: tools.program }, state.lock.id, tools.signal)
    state = await probe(machine, tools.program, tools.signal)
  }
  refuseUnfit(host, state)
  if (state.damagedBootFiles.length > 0) {
    const damaged = (files: readonly string[]) => `${namedFiles(files)}: damaged, as after a power cut`
    const warn = (text: string) => tools.report({ kind: 'warning', host: host.name, text })
    if (mode === 'dry-activate')
      warn(`${damaged(state.damagedBootFiles)}; the next boot would fail, and a deployment rewrites it first`)
    else {
      const mended = await mendBootFiles(machine, state, tools)
      state = mended.state
      if (state.damagedBootFiles.length > 0) throw unbootable(state.damagedBootFiles)
      if (mended.rewritten.length > 0)
        warn(`${damaged(mended.rewritten)}; rewritten, or the next boot would have failed`)
    }
  }
  if (state.upgradeTimer) {
    tools.report({ kind: 'warning', host: host.name, text: `${upgradesItself.text}; ${upgradesItself.hint}` })
  }
  return state
}

export const upgradesItself = {
  text: 'nixos-upgrade.timer is active: it evaluates on the host itself',
  hint: 'set system.autoUpgrade.enable = false',
} as const

const unbootable = (files: readonly string[]) =>
  new Problem(`the next boot would fail: ${namedFiles(files)} is damaged, and could not be rewritten`, {
    hints: [
      'is the boot file system full or read-only? Do not restart the host before this is mended',
      'a kernel that is signed for Secure Boot is left to whoever signs it',
    ],
  })
