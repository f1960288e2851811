/** Everything that can be known to be wrong before anything is evaluated, copied or touched. */
import { type HostState, probe, repairBootFiles } from '../activation/host-state.ts'
import { recover } from '../activation/transaction.ts'
import type { Host } from '../inventory/inventory.ts'
import { Problem } from '../problem.ts'
import type { Session } from './session.ts'
import type { Mode, Tools } from './tools.ts'

/** The Nix systems that a machine of that `uname -m` can run. */
const systemsOf: Readonly<Record<string, readonly string[]>> = {
  x86_64: ['x86_64-linux', 'i686-linux'],
  i686: ['i686-linux'],
  aarch64: ['aarch64-linux', 'armv7l-linux', 'armv6l-linux'],
  armv7l: ['armv7l-linux', 'armv6l-linux'],
  armv6l: ['armv6l-linux'],
  riscv64: ['riscv64-linux'],
}

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
    const damaged = `${state.damagedBootFiles.join(', ')}: not what the store has, as after a power cut`
    const warn = (text: string) => tools.report({ kind: 'warning', host: host.name, text })
    if (mode === 'dry-activate') warn(`${damaged}; the next boot would fail, and a deployment rewrites it first`)
    else {
      await repairBootFiles(machine, tools.program, tools.signal)
      state = await probe(machine, tools.program, tools.signal)
      if (state.damagedBootFiles.length > 0) throw unbootable(state.damagedBootFiles)
      warn(`${damaged}; rewritten, or the next boot would have failed`)
    }
  }
  if (state.upgradeTimer) {
    tools.report({
      kind: 'warning',
      host: host.name,
      text: 'nixos-upgrade.timer is active: it evaluates on the host itself; set system.autoUpgrade.enable = false',
    })
  }
  return state
}

const unbootable = (files: readonly string[]) =>
  new Problem(`the next boot would fail: ${files.join(', ')} is not what the store has, and could not be rewritten`, {
    hints: ['is the boot file system full or read-only? Do not restart the host before this is mended'],
  })

/** Throws the Problem that makes a deployment impossible, if there is one. */
export function refuseUnfit(host: Host, state: HostState): void {
  if (!state.isRoot) {
    throw new Problem('commands on the host do not run as root', { hints: ['see `sudo:` in docs/hosts.yaml.md'] })
  }
  if (!state.isNixos || !state.running) {
    throw new Problem('the host does not run NixOS', {
      hints: [state.isNixos ? '/run/current-system is missing' : '/etc/NIXOS is missing'],
    })
  }
  if (!state.hasSystemd) throw new Problem('the host does not run systemd')
  const lacking = state.lacks.join(', ')
  if (lacking) throw new Problem(`the host lacks ${lacking}`, { hints: ['every NixOS has it: is this a container?'] })
  if (!systemsOf[state.machine]?.includes(host.system) && systemsOf[state.machine]) {
    throw new Problem(`the host is ${state.machine}, but hosts.yaml says ${host.system}`, {
      hints: [`set \`system: ${systemsOf[state.machine]?.[0]}\`, or check that this is the right host`],
    })
  }
  if (state.lock) {
    const { holder, since, secondsLeft } = state.lock
    throw new Problem(`${holder} has been deploying this host since ${since}`, {
      kind: 'locked',
      hints: secondsLeft === undefined ? [] : [`it rolls back by itself in ${secondsLeft} s unless it is confirmed`],
    })
  }
}
