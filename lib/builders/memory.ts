/** How many configurations are evaluated at once. */

/**
 * Bytes that Nix takes to evaluate one NixOS configuration, and each further one in the same process, which shares
 * what both use. Small ones take 250 MB, a desktop more than 2 GB.
 */
const [first, further] = [2 ** 30, 2 ** 29]

export const memoryFor = (configurations: number): number => first + further * (configurations - 1)

/** Their names are one argument of a program, which Linux limits to 128 KiB (MAX_ARG_STRLEN). */
const most = 1000

/** In groups as large as the memory allows; one at a time where it is less than any needs. */
export function groupsFor(configurations: readonly string[], availableBytes = Number.POSITIVE_INFINITY): string[][] {
  const size = Math.min(most, Math.max(1, 1 + Math.floor((availableBytes - first) / further)))
  const groups: string[][] = []
  for (let at = 0; at < configurations.length; at += size) groups.push(configurations.slice(at, at + size))
  return groups
}
