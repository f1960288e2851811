/** What has to get to the builder for one evaluation: the flake, and whatever overrides its inputs. */
import { createHash } from 'node:crypto'
import type { Machine } from '../machine/machine.ts'
import { flakeQuery, parseFlakeReference } from '../nix/flake-reference.ts'
import { Problem } from '../problem.ts'
import { type GitSnapshot, type PlainSnapshot, snapshot } from './snapshot.ts'

export interface Source {
  /** The name of the input that it overrides, undefined for the flake itself. */
  readonly input: string | undefined
  readonly from: GitSnapshot | PlainSnapshot | { readonly kind: 'reference'; readonly reference: string }
  /** What is left to tell Nix about it: `?dir=hosts`. */
  readonly query: string
  /** Set of what Nix fetches by a URL: git on the builder is told to take it from what was sent. */
  readonly apart?: Apart
}

interface Apart {
  /** A submodule comes after the repository that it is in. */
  readonly kind: 'submodule' | 'fetched'
  /** of a submodule: the way from the top of the outermost repository; of what was fetched: its branch or tag */
  readonly place: string
  /** the one that Nix wants */
  readonly commit: string
  /** as .gitmodules or flake.lock says it */
  readonly url: string
}

/** Directories that are no git repository are sent whole each time. */
const largestDirectory = 256 * 1024

/**
 * Looks at where a flake or an input comes from. What is on this machine is described as it is at this moment.
 * Submodules follow, where Nix is to look at them.
 */
export async function findSources(
  here: Machine,
  wanted: { input?: string; reference: string },
  signal: AbortSignal,
): Promise<Source[]> {
  const source = await findSource(here, wanted, signal)
  const { from } = source
  if (from.kind !== 'git' || !wantsSubmodules(from, wanted.reference)) return [source]
  try {
    return [source, ...(await findSubmodules(here, from, { input: source.input, below: '' }, signal))]
  } catch (error) {
    from.close()
    throw error
  }
}

const wantsSubmodules = (from: GitSnapshot, reference: string): boolean => {
  const parsed = parseFlakeReference(reference)
  const asked = parsed.kind === 'local' ? parsed.parameters.get('submodules') : undefined
  return asked === undefined ? from.wantsSubmodules : !['0', 'false'].includes(asked)
}

async function findSubmodules(
  here: Machine,
  around: GitSnapshot,
  { input, below }: { input: string | undefined; below: string },
  signal: AbortSignal,
): Promise<Source[]> {
  const found: Source[] = []
  try {
    for (const { path, commit, url } of around.submodules) {
      const from = await snapshot(here, { directory: `${around.top}/${path}`, as: 'input', also: commit }, signal)
      if (from.kind !== 'git') continue
      const place = `${below}${path}`
      found.push({ input, from, query: '', apart: { kind: 'submodule', place, commit, url } })
      found.push(...(await findSubmodules(here, from, { input, below: `${place}/` }, signal)))
    }
    return found
  } catch (error) {
    for (const { from } of found) if (from.kind === 'git') from.close()
    throw error
  }
}

async function findSource(
  here: Machine,
  wanted: { input?: string; reference: string },
  signal: AbortSignal,
): Promise<Source> {
  const { input } = wanted
  const reference = parseFlakeReference(wanted.reference)
  if (reference.kind === 'remote') return { input, from: { kind: 'reference', reference: wanted.reference }, query: '' }
  const { directory, plain, subdirectory, parameters } = reference
  for (const name of ['ref', 'rev']) if (parameters.has(name)) throw onlyTheWorkTree(wanted.reference, name)
  const as = plain ? 'plain' : input === undefined && subdirectory === '' ? 'flake' : 'input'
  const from = await snapshot(here, { directory, as }, signal)
  try {
    if (from.kind === 'path') refuseLarge(from)
    const below = [from.kind === 'git' ? from.prefix.replace(/\/$/, '') : '', subdirectory].filter(
      (part) => part !== '',
    )
    const query = flakeQuery([...(below.length > 0 ? [['dir', below.join('/')] as const] : []), ...parameters])
    return { input, from, query }
  } catch (error) {
    if (from.kind === 'git') from.close()
    throw error
  }
}

/**
 * The ten arguments of a source for the evaluation script. `uploaded` is where a plain directory was unpacked. Of what
 * stands apart the first is the commit that is wanted of it, the last but one its place, and the last its URL.
 */
export function sourceArguments({ input, from, query, apart }: Source, uploaded = ''): string[] {
  const name = input ?? '-'
  if (from.kind === 'reference') return [name, 'reference', from.reference, '', '', '', '', '', '', '']
  if (from.kind === 'path') return [name, 'path', uploaded, '', '', '', '', '', query, '']
  const { head = '-', staged, worktree, boundary, emptied } = from
  const trees = [keyOf(from.identity), head, staged, worktree, boundary.join(' '), emptied.join('\n')]
  if (apart) return [apart.commit, apart.kind, ...trees, apart.place, apart.url]
  return [name, 'git', ...trees, query, '']
}

/** A name for a file on the builder that stands for something long and private. */
export const keyOf = (identity: string): string => createHash('sha256').update(identity).digest('hex').slice(0, 32)

/** Two evaluations with the same lock name and different work trees never share one. */
export const lockName = (flake: Source): string =>
  keyOf(flake.from.kind === 'reference' ? flake.from.reference : flake.from.identity)

/** The revision as Nix says it, where it can be known here. */
export function revisionOf({ from }: Source): string | undefined {
  if (from.kind !== 'git' || from.head === undefined) return undefined
  return from.dirty ? `${from.head}-dirty` : from.head
}

/** What a person may believe to be in the flake, one line each. */
export function sourceWarnings(source: Source): string[] {
  return [untrackedWarning(source), absentWarning(source)].filter((line) => line !== undefined)
}

function absentWarning({ from, query, apart }: Source): string | undefined {
  if (from.kind !== 'git' || from.absentSubmodules.length === 0) return undefined
  if (!apart && !from.wantsSubmodules && !/[?&]submodules=(1|true)/.test(query)) return undefined
  return `${from.absentSubmodules.join(', ')} in ${from.top} is not checked out: the builder has to fetch it itself`
}

function untrackedWarning({ from }: Source): string | undefined {
  if (from.kind !== 'git' || from.untracked.count === 0) return undefined
  const { names, count } = from.untracked
  const more = count > names.length ? ` and ${count - names.length} more` : ''
  const are = count === 1 ? 'is not tracked by git, so it is' : 'are not tracked by git, so they are'
  return `${names.join(', ')}${more} in ${from.top} ${are} not part of the flake`
}

function refuseLarge({ directory, kibibytes }: PlainSnapshot): void {
  if (kibibytes <= largestDirectory) return
  throw new Problem(`${directory} holds ${Math.ceil(kibibytes / 1024)} MiB, which is too much to send each time`, {
    stage: 'evaluate',
    hints: [
      'make it a git repository (git init, git add): then only changes are sent',
      'move what does not belong to the flake (images, virtual machines, build results) out of it',
    ],
  })
}

const onlyTheWorkTree = (reference: string, parameter: string) =>
  new Problem(`${reference}: a directory is evaluated as it is now; ${parameter} can't be chosen`, {
    kind: 'usage',
    stage: 'evaluate',
    hints: [`check out what you want, and leave ?${parameter}= away`],
  })
