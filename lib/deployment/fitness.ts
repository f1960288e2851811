/** What a host has to be for a deployment, in the order in which it would be mended. */
import type { HostState } from '../activation/host-state.ts'
import type { Host } from '../inventory/inventory.ts'
import { Problem } from '../problem.ts'

/** The Nix systems that a machine of that `uname -m` can run. */
const systemsOf: Readonly<Record<string, readonly string[]>> = {
  x86_64: ['x86_64-linux', 'i686-linux'],
  i686: ['i686-linux'],
  aarch64: ['aarch64-linux', 'armv7l-linux', 'armv6l-linux'],
  armv7l: ['armv7l-linux', 'armv6l-linux'],
  armv6l: ['armv6l-linux'],
  riscv64: ['riscv64-linux'],
}

export interface Requirement {
  readonly name: string
  /** The Problem that makes a deployment impossible. */
  missed(host: Host, state: HostState): Problem | undefined
}

export const requirements: readonly Requirement[] = [
  {
    name: 'root',
    missed: (_host, { isRoot }) =>
      isRoot
        ? undefined
        : new Problem('commands on the host do not run as root', { hints: ['see `sudo:` in docs/hosts.yaml.md'] }),
  },
  {
    name: 'NixOS',
    missed: (_host, { isNixos, running }) =>
      isNixos && running
        ? undefined
        : new Problem('the host does not run NixOS', {
            hints: [isNixos ? '/run/current-system is missing' : '/etc/NIXOS is missing'],
          }),
  },
  {
    name: 'systemd',
    missed: (_host, { hasSystemd }) => (hasSystemd ? undefined : new Problem('the host does not run systemd')),
  },
  {
    name: 'programs',
    missed: (_host, { lacks }) =>
      lacks.length === 0
        ? undefined
        : new Problem(`the host lacks ${lacks.join(', ')}`, { hints: ['every NixOS has it: is this a container?'] }),
  },
  {
    name: 'disk',
    missed: (_host, { readOnly }) =>
      readOnly === undefined
        ? undefined
        : new Problem(`the host cannot write to ${readOnly}: its file system is read-only`, {
            hints: ['a disk that fails becomes read-only: look at `dmesg` there, and do not restart the host before'],
          }),
  },
  {
    name: 'system',
    missed(host, { machine }) {
      const systems = systemsOf[machine]
      if (!systems || systems.includes(host.system)) return undefined
      return new Problem(`the host is ${machine}, but hosts.yaml says ${host.system}`, {
        hints: [`set \`system: ${systems[0]}\`, or check that this is the right host`],
      })
    },
  },
  {
    name: 'lock',
    missed(_host, { lock }) {
      if (!lock) return undefined
      const { holder, since, secondsLeft } = lock
      return new Problem(`${holder} has been deploying this host since ${since}`, {
        kind: 'locked',
        hints: secondsLeft === undefined ? [] : [`it rolls back by itself in ${secondsLeft} s unless it is confirmed`],
      })
    },
  },
]

/** Throws the first Problem that makes a deployment impossible, if there is one. */
export function refuseUnfit(host: Host, state: HostState): void {
  for (const { missed } of requirements) {
    const problem = missed(host, state)
    if (problem) throw problem
  }
}
