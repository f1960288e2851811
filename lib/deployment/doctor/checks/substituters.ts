import type { MachineFacts } from '../examine.ts'
import { careful, type DoctorCheck, good } from '../finding.ts'

/** `without`: what happens where there are none, and what to do about one that does not answer. */
export const substituters = (without: { none: string; hint: string }): DoctorCheck<MachineFacts> => ({
  about: 'substituters',
  look({ settings, substituters }) {
    const configured = settings.get('substituters')
    if (configured === undefined) return undefined
    if (configured.trim() === '') return good(without.none)
    const silent = substituters.filter(({ answers }) => !answers).map(({ url }) => withoutPassword(url))
    if (silent.length > 0) {
      return careful(
        `no answer from ${silent.join(', ')}`,
        `try it there: nix store info --store ${silent[0]}`,
        without.hint,
      )
    }
    if (settings.get('require-sigs') !== 'false' && (settings.get('trusted-public-keys') ?? '').trim() === '') {
      return careful(
        'it has substituters and no trusted-public-keys: nothing of theirs is accepted',
        'set nix.settings.trusted-public-keys',
      )
    }
    return good(`${substituters.map(({ url }) => withoutPassword(url)).join(', ')} answer`)
  },
})

const withoutPassword = (url: string): string => url.replace(/\/\/[^/@]*@/, '//')
