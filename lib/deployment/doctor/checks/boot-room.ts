/** Whether another kernel and initrd, as large as those that run, would have room on /boot. */
import { formatBytes } from '../../../format.ts'
import { bad, careful, type DoctorCheck, good } from '../finding.ts'
import type { HostSubject } from '../subject.ts'

export const bootRoom: DoctorCheck<HostSubject> = {
  about: '/boot',
  look({ host, facts: { state, bootNeeds } }) {
    if (!state.bootFiles) return undefined
    const room = `${formatBytes(state.bootFiles.freeBytes)} free on /boot`
    if (bootNeeds === undefined || state.bootFiles.freeBytes >= bootNeeds) return good(room)
    const text = `${room}: another kernel and initrd (${formatBytes(bootNeeds)}) would not fit`
    const hints = [
      `see what goes, then go on: \`deploy clean ${host.name} --keep 2 --dry-run\``,
      'configure fewer: configurationLimit of boot.loader.generic-extlinux-compatible, systemd-boot or grub',
    ]
    // Its script takes away what no generation needs before it writes.
    return state.bootLoader === 'systemd-boot' ? careful(text, ...hints) : bad(text, ...hints)
  },
}
