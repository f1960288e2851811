/** How many configurations an evaluator has the memory for at once. */

/**
 * Bytes that Nix takes to evaluate one NixOS configuration, and each further one in the same process, which shares
 * what both use. Small ones take 250 MB, a desktop more than 2 GB.
 */
const [first, further] = [2 ** 30, 2 ** 29]

export const memoryFor = (configurations: number): number => first + further * (configurations - 1)

/** In groups as large as the memory allows; one at a time where it is less than any needs. */
export function groupsFor(configurations: readonly string[], availableBytes: number): string[][] {
  const size = Math.max(1, 1 + Math.floor((availableBytes - first) / further))
  const groups: string[][] = []
  for (let at = 0; at < configurations.length; at += size) groups.push(configurations.slice(at, at + size))
  return groups
}
