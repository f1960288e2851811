/** Whether a builder builds for the systems of its hosts: itself, by emulation, or by builders of its own. */
import { bad, type DoctorCheck, good } from '../finding.ts'
import { remoteMachines, words } from '../remote-machines.ts'
import type { BuilderSubject } from '../subject.ts'

export const buildSystems: DoctorCheck<BuilderSubject> = {
  about: 'systems',
  look({ facts, wanted }) {
    const own = facts.settings.get('system')
    if (own === undefined) return undefined
    const extra = words(facts.settings.get('extra-platforms'))
    const remote = remoteMachines(facts).flatMap((machine) => systemsOf(machine, own))
    const built = new Set([own, ...extra, ...remote])
    const missing = [...wanted].filter(([system]) => !built.has(system))
    if (missing.length === 0) return good(`builds ${[...built].join(', ')}`)
    const hosts = missing.map(([system, names]) => `${system} (${names.join(', ')})`).join(', ')
    const [[system = ''] = []] = missing
    return bad(
      `it builds ${[...built].join(', ')}, not ${hosts}`,
      `on a NixOS builder: boot.binfmt.emulatedSystems = [ "${system}" ]; elsewhere binfmt with flag F, and extra-platforms in nix.conf`,
      `or a remote builder for ${system} in its /etc/nix/machines, or another \`builder:\` for these hosts; where they name several, \`systems:\` says which are meant`,
    )
  },
}

/** `-` and nothing mean the system of the builder itself. */
const systemsOf = ([, systems = '-']: readonly string[], own: string): string[] =>
  systems === '-' ? [own] : systems.split(',')
