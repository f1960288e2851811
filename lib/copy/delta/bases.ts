/** Which path that the host has a new one is told by: the one that it is most likely a later version of. */
import type { PathInfo } from '../../nix/store.ts'
import { nameOf, type StorePath } from '../../nix/store-path.ts'

/** A new path, and the old one that a patch starts from. */
export interface Pair {
  readonly info: PathInfo
  readonly base: PathInfo
}

/** The name without its versions: `openssl-dev` of `openssl-3.0.14-dev`. A poor partner costs no more than none. */
export function unversioned(path: StorePath): string {
  const parts = nameOf(path).split('-')
  const named = parts.filter((part) => !/^\d/.test(part))
  return named.join('-')
}

/** Those of `have` that could be the base of one that is missing. */
export function candidatesFor(missing: readonly PathInfo[], have: readonly StorePath[]): StorePath[] {
  const wanted = new Set(missing.map(({ path }) => unversioned(path)))
  const lacking = new Set(missing.map(({ path }) => path))
  return have.filter((path) => wanted.has(unversioned(path)) && !lacking.has(path))
}

/** The best of the candidates for each of those missing; one without any is left out. */
export function pairsOf(missing: readonly PathInfo[], candidates: readonly PathInfo[]): Map<StorePath, Pair> {
  const byName = new Map<string, PathInfo[]>()
  for (const one of candidates) {
    const name = unversioned(one.path)
    byName.set(name, [...(byName.get(name) ?? []), one])
  }
  const pairs = new Map<StorePath, Pair>()
  for (const info of missing) {
    const [base] = (byName.get(unversioned(info.path)) ?? []).toSorted(closerTo(info))
    if (base) pairs.set(info.path, { info, base })
  }
  return pairs
}

/** By the name, and among equals by the size. */
const closerTo = (info: PathInfo) => (a: PathInfo, b: PathInfo) => {
  const name = nameOf(info.path)
  return (
    sharedStart(name, nameOf(b.path)) - sharedStart(name, nameOf(a.path)) ||
    Math.abs(info.narSize - a.narSize) - Math.abs(info.narSize - b.narSize) ||
    (a.path < b.path ? -1 : 1)
  )
}

function sharedStart(a: string, b: string): number {
  if (a === b) return Number.POSITIVE_INFINITY
  let length = 0
  while (length < a.length && a[length] === b[length]) length++
  return length
}
