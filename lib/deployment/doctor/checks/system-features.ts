/** Whether a builder takes the derivations that ask for a feature (nix.conf(5), system-features). */
import { careful, type DoctorCheck, good } from '../finding.ts'
import { remoteMachines, words } from '../remote-machines.ts'
import type { BuilderSubject } from '../subject.ts'

/** What nixpkgs asks for to build a kernel, among others (pkgs/os-specific/linux/kernel, requiredSystemFeatures). */
const needed = 'big-parallel'

export const systemFeatures: DoctorCheck<BuilderSubject> = {
  about: 'features',
  look({ facts }) {
    const own = facts.settings.get('system-features')
    if (own === undefined) return undefined
    const features = words(own)
    if (features.includes(needed)) return good(features.join(', '))
    // Another one may have it.
    if (remoteMachines(facts).length > 0) return undefined
    return careful(
      `it has not the feature ${needed}, without which it builds no kernel`,
      `add ${needed} to system-features in its nix.conf (nix.settings.system-features on NixOS), or name another builder`,
    )
  },
}
