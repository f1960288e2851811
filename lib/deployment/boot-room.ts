/** Whether the boot loader's directory has room for a new kernel, its initrd and its device trees. */
import type { HostState } from '../activation/host-state.ts'
import type { BootFile } from '../builders/builder.ts'

/** As extlinux, GRUB and systemd-boot name their copy, without the latter's `.efi`. */
const nameOf = (path: string): string => path.replace('/nix/store/', '').replaceAll('/', '-')

/** `certain`: no copy that is there is taken away before the new ones are made. Undefined: there is room. */
export function missingOnBoot(
  { bootFiles, bootLoader }: HostState,
  files: readonly BootFile[],
): { readonly needed: number; readonly missing: number; readonly certain: boolean } | undefined {
  if (!bootFiles) return undefined
  // Only U-Boot is given the kernel's device trees; elsewhere the firmware has its own.
  const isCopied = ({ areDeviceTrees }: BootFile) => bootLoader === 'extlinux' || !areDeviceTrees
  const lacking = new Map(files.filter(isCopied).map(({ path, size }) => [nameOf(path), size]))
  for (const name of bootFiles.names) lacking.delete(name)
  const needed = [...lacking.values()].reduce((sum, size) => sum + size, 0)
  const missing = needed - bootFiles.freeBytes
  // systemd-boot's script first takes away what no generation needs any more, and may name its copies otherwise.
  return missing > 0 ? { needed, missing, certain: bootLoader !== 'systemd-boot' } : undefined
}
