/** What a builder needs beside a shell. On NixOS hosts, the probe looks for what it needs itself. */
import type { MachineFacts } from '../examine.ts'
import { bad, type DoctorCheck, good } from '../finding.ts'

const needed = ['nix', 'nix-daemon', 'git', 'tar']

export const programs: DoctorCheck<MachineFacts> = {
  about: 'programs',
  look({ tools }) {
    const missing = needed.filter((name) => !tools.has(name))
    if (missing.length === 0) return good(needed.join(', '))
    return bad(
      `it has no ${missing.join(', ')}`,
      'install it there, or put it in the PATH of a login that runs just one command: `ssh HOST command -v nix`',
    )
  },
}
