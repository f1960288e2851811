/** Whether a builder builds for the systems of its hosts: itself, by emulation, or by builders of its own. */
import { bad, type DoctorCheck, good } from '../finding.ts'
import type { BuilderSubject } from '../subject.ts'

export const buildSystems: DoctorCheck<BuilderSubject> = {
  about: 'systems',
  look({ facts: { settings, machineFile }, wanted }) {
    const own = settings.get('system')
    if (own === undefined) return undefined
    const extra = words(settings.get('extra-platforms'))
    const remote = remoteSystems(settings.get('builders') ?? '', machineFile, own)
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

const words = (text: string | undefined): string[] => (text ?? '').split(/\s+/).filter((word) => word !== '')

/** The second word of each machine; `-` and nothing mean the system of the builder itself. */
function remoteSystems(builders: string, machineFile: readonly string[], own: string): string[] {
  const listed = builders.startsWith('@') ? machineFile : builders.split(/[;\n]/)
  return listed
    .map((line) => words(line.replace(/#.*/, '')))
    .filter(([uri]) => uri !== undefined && !uri.startsWith('@'))
    .flatMap(([, systems = '-']) => (systems === '-' ? [own] : systems.split(',')))
}
