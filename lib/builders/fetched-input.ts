/** Inputs that the builder can't fetch: this machine's git fetches what flake.lock names, and the repository is shipped. */
import type { Machine } from '../machine/machine.ts'
import { type LockedGit, lockedGitInputs } from '../nix/flake-lock.ts'
import { Problem } from '../problem.ts'
import { keyOf, type Source } from './shipment.ts'
import { fetchedCommit } from './snapshot.ts'

/** Rejects with a Problem when flake.lock names no such git repository, or git can't fetch it. */
export async function fetchInput(here: Machine, flake: Source, input: string, signal: AbortSignal): Promise<Source> {
  const locked = await lockedInputs(here, flake, signal)
  const git = locked.get(input)
  if (!git) throw notLocked(input, [...locked.keys()])
  const { url, rev, ref } = git
  const from = await fetchedCommit(here, { url, rev, ref, key: keyOf(url) }, signal)
  if (from.kind !== 'git') throw new Error('a commit is no directory')
  // Before Nix 2.9 a default branch is believed to be called that.
  const place = ref === undefined ? 'refs/heads/master' : ref.startsWith('refs/') ? ref : `refs/heads/${ref}`
  return { input, from, query: '', apart: { kind: 'fetched', place, commit: rev, url } }
}

/** What to try when the builder could not fetch an input, as far as its errors tell. */
export async function fetchHints(
  here: Machine,
  { flake, fetched, errors }: { flake: Source; fetched: readonly string[]; errors: string },
  signal: AbortSignal,
): Promise<string[]> {
  if (
    !/program 'git' failed|Cannot find Git revision|Could not read from remote|Permission denied \(publickey|[Ff]ailed to fetch git repository/.test(
      errors,
    )
  ) {
    return []
  }
  const locked = await lockedInputs(here, flake, signal).catch(() => new Map<string, LockedGit>())
  const candidates = [...locked].filter(([input]) => !fetched.includes(input))
  const named = candidates.filter(([, { url }]) => errors.includes(url))
  return (named.length > 0 ? named : candidates).map(
    ([input]) =>
      `the builder may have no access to it: \`inputs: { ${input}: { fetch: here } }\` in hosts.yaml fetches it here`,
  )
}

async function lockedInputs(
  here: Machine,
  { from, query }: Source,
  signal: AbortSignal,
): Promise<Map<string, LockedGit>> {
  if (from.kind === 'reference') {
    throw new Problem('fetch: here needs a flake that is a directory on this machine', {
      stage: 'evaluate',
      hints: [`check out ${from.reference} here, and name its directory under \`flake:\``],
    })
  }
  const top = from.kind === 'git' ? from.top : from.directory
  const file = [top, new URLSearchParams(query).get('dir') ?? '', 'flake.lock'].filter((part) => part !== '').join('/')
  const { code, stdout, stderr } = await here.run({ argv: ['cat', '--', file] }, { signal })
  if (code !== 0) {
    throw new Problem(`can't read ${file}, which says what to fetch`, {
      stage: 'evaluate',
      detail: stderr.trim(),
      hints: ['make it with `nix flake lock`, and commit it'],
    })
  }
  try {
    return lockedGitInputs(stdout)
  } catch (cause) {
    throw new Problem(`${file} is no lock file`, { stage: 'evaluate', cause })
  }
}

const notLocked = (input: string, known: readonly string[]) =>
  new Problem(`flake.lock has no input ${input} that is a git repository`, {
    stage: 'evaluate',
    hints: [known.length === 0 ? 'it has none at all' : `it has ${known.join(', ')}`],
  })
