/** Everything that paths refer to. */
import type { PathInfo } from './store.ts'
import type { StorePath } from './store-path.ts'

/**
 * Walks the graph level by level, one question for each, and returns it with references before those who refer to
 * them; otherwise in an order that depends only on the paths.
 */
export async function closureOf(
  roots: readonly StorePath[],
  ask: (paths: readonly StorePath[]) => Promise<readonly PathInfo[]>,
): Promise<PathInfo[]> {
  const known = new Map<StorePath, PathInfo>()
  for (let level = [...new Set(roots)]; level.length > 0; ) {
    const infos = await ask(level)
    for (const info of infos) known.set(info.path, info)
    const next = new Set(infos.flatMap((info) => info.references))
    level = [...next].filter((path) => !known.has(path))
  }
  return referencesFirst(known)
}

/** References before those who refer to them; otherwise in an order that depends only on the paths. */
export function referencesFirst(infos: ReadonlyMap<StorePath, PathInfo>): PathInfo[] {
  const ordered = new Set<PathInfo>()
  // Each path is looked at twice: first its references are put on top of it, then it is put out.
  const begun = new Set<StorePath>()
  const pending = [...infos.keys()].sort().reverse()
  for (let path = pending.at(-1); path !== undefined; path = pending.at(-1)) {
    const info = infos.get(path)
    const fresh = !begun.has(path)
    begun.add(path)
    const above = fresh ? (info?.references.filter((reference) => !begun.has(reference)) ?? []) : []
    if (above.length > 0) {
      pending.push(...above.toSorted().reverse())
      continue
    }
    pending.pop()
    if (info) ordered.add(info)
  }
  return [...ordered]
}
