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
}

/** Directories that are no git repository are sent whole each time. */
const largestDirectory = 256 * 1024

/** Looks at where a flake or an input comes from. What is on this machine is described as it is at this moment. */
export async function findSource(
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
    else refuseSubmodules(from, parameters)
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

/** The nine arguments of a source for the evaluation script. `uploaded` is where a plain directory was unpacked. */
export function sourceArguments({ input, from, query }: Source, uploaded = ''): string[] {
  const name = input ?? '-'
  if (from.kind === 'reference') return [name, 'reference', from.reference, '', '', '', '', '', '']
  if (from.kind === 'path') return [name, 'path', uploaded, '', '', '', '', '', query]
  const { head = '-', staged, worktree, boundary, emptied } = from
  return [name, 'git', keyOf(from.identity), head, staged, worktree, boundary.join(' '), emptied.join('\n'), query]
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

/** Files that a person may believe to be in the flake, or undefined when there are none. */
export function untrackedWarning({ from }: Source): string | undefined {
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

function refuseSubmodules(from: GitSnapshot, parameters: ReadonlyMap<string, string>): void {
  const wanted = parameters.get('submodules')
  if (!from.hasSubmodules || wanted === undefined || wanted === '0' || wanted === 'false') return
  throw new Problem(`${from.top} has submodules, and they can't be sent to a builder yet`, {
    stage: 'evaluate',
    hints: ['make the submodule an input of the flake, and name its directory under `inputs:` in hosts.yaml'],
  })
}

const onlyTheWorkTree = (reference: string, parameter: string) =>
  new Problem(`${reference}: a directory is evaluated as it is now; ${parameter} can't be chosen`, {
    kind: 'usage',
    stage: 'evaluate',
    hints: [`check out what you want, and leave ?${parameter}= away`],
  })
