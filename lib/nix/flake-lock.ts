/** What flake.lock says of the inputs that are git repositories (Nix's lock file, version 7). */

export interface LockedGit {
  readonly url: string
  readonly rev: string
  /** the branch or tag that it was on, as Nix writes it: `main`, `refs/tags/v1`; undefined for the default branch */
  readonly ref: string | undefined
}

/** By the name of the input. Inputs of inputs, and those that are no git repositories, are left out. */
export function lockedGitInputs(text: string): Map<string, LockedGit> {
  const { nodes = {}, root = 'root' } = JSON.parse(text) as Lock
  const found = new Map<string, LockedGit>()
  for (const [input, target] of Object.entries(nodes[root]?.inputs ?? {})) {
    // A list is the way to an input of another input.
    const locked = typeof target === 'string' ? nodes[target]?.locked : undefined
    if (locked?.type !== 'git' || !locked.url || !locked.rev || locked.submodules) continue
    found.set(input, { url: locked.url, rev: locked.rev, ref: locked.ref })
  }
  return found
}

interface Lock {
  readonly root?: string
  readonly nodes?: Readonly<Record<string, Node>>
}
interface Node {
  readonly inputs?: Readonly<Record<string, string | readonly string[]>>
  readonly locked?: { type?: string; url?: string; rev?: string; ref?: string; submodules?: boolean }
}
