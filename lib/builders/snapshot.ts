/** A directory on the control machine as it is now: what the builder must know of it, and its contents. */
import { once } from 'node:events'
import { Readable } from 'node:stream'
import { formatBytes } from '../format.ts'
import type { Channel, Machine } from '../machine/machine.ts'
import { Problem } from '../problem.ts'
import { fetchedScript } from './fetched-script.ts'
import { Lines } from './lines.ts'
import { snapshotScript } from './snapshot-script.ts'

export interface GitSnapshot {
  readonly kind: 'git'
  /** user, machine and path: the same for every snapshot of this repository */
  readonly identity: string
  /** of the work tree, absolute */
  readonly top: string
  /** from there to the directory: empty, or with a slash at its end */
  readonly prefix: string
  /** undefined in a repository without commits */
  readonly head: string | undefined
  /** tree of the index */
  readonly staged: string
  /** tree of the files in the work tree that the index names, byte by byte */
  readonly worktree: string
  readonly dirty: boolean
  /** directories that are still there without their files: Nix 2.8 makes them part of the flake */
  readonly emptied: readonly string[]
  /** the commits whose parents a shallow clone lacks */
  readonly boundary: readonly string[]
  /** those that are checked out: where, which commit the index names, and the URL of .gitmodules */
  readonly submodules: readonly { readonly path: string; readonly commit: string; readonly url: string }[]
  /** where those are that are not */
  readonly absentSubmodules: readonly string[]
  /** flake.nix says that it wants them */
  readonly wantsSubmodules: boolean
  /** files (directories end in a slash) that are not part of the flake: some of them, and how many there are */
  readonly untracked: { readonly names: readonly string[]; readonly count: number }
  /** Everything that isn't reachable from these (`^REVISION`, unknown ones are ignored), as a pack. Only once. */
  pack(haves: readonly string[]): Promise<Readable>
  close(): void
}

export interface PlainSnapshot {
  readonly kind: 'path'
  readonly identity: string
  readonly directory: string
  readonly kibibytes: number
  close(): void
}

/** Bytes of git's objects that the builder lacks: about what would be sent. Minutes on a line of 100 Mbit/s. */
const largestPack = 2 ** 30

export interface SnapshotRequest {
  readonly directory: string
  /** `flake`: the nearest flake.nix upwards counts. `plain`: a git repository is taken as a directory. */
  readonly as: 'flake' | 'input' | 'plain'
  /** A commit that is sent as well, if it is there. */
  readonly also?: string
}

/** Rejects with a Problem when there is no such directory, no flake in it, or git refuses. */
export async function snapshot(here: Machine, { directory, as, also = '' }: SnapshotRequest, signal: AbortSignal) {
  const argv = ['sh', '-c', snapshotScript, 'deploy', directory, as, also]
  const taken = await described(await here.open({ argv }, signal), directory, signal)
  if (taken.kind === 'path') taken.close()
  return taken
}

/** A commit of a repository elsewhere, fetched by the git of this machine. `key`: a name for its repository here. */
export async function fetchedCommit(
  here: Machine,
  { url, rev, ref = '', key }: { url: string; rev: string; ref: string | undefined; key: string },
  signal: AbortSignal,
) {
  const argv = ['sh', '-c', fetchedScript, 'deploy', url, rev, ref, key]
  return await described(await here.open({ argv }, signal), url, signal)
}

/** `what`: for the words of a Problem. */
async function described(channel: Channel, what: string, signal: AbortSignal) {
  try {
    const lines = new Lines(channel.stdout)
    const fields = await readFields(lines, channel)
    return fromFields(fields, what, (haves) => packFrom(channel, lines, { haves, what }), channel)
  } catch (error) {
    channel.close()
    signal.throwIfAborted()
    throw error
  }
}

async function readFields(lines: Lines, channel: Channel): Promise<(name: string) => string[]> {
  const fields = new Map<string, string[]>()
  for (let line = await lines.next(); line !== ''; line = await lines.next()) {
    if (line === undefined) {
      await channel.exit
      throw new Problem("can't read the flake's git repository", {
        stage: 'evaluate',
        detail: channel.errorOutput().trim(),
      })
    }
    const space = line.indexOf(' ')
    const name = line.slice(0, space)
    fields.set(name, [...(fields.get(name) ?? []), line.slice(space + 1)])
  }
  return (name) => fields.get(name) ?? []
}

function fromFields(
  fields: (name: string) => string[],
  what: string,
  pack: (haves: readonly string[]) => Promise<Readable>,
  channel: Channel,
): GitSnapshot | PlainSnapshot {
  const [problem] = fields('problem')
  if (problem !== undefined) throw refusal(problem, fields('directory')[0] ?? what, channel)
  const owner = fields('owner').join()
  const [kibibytes] = fields('kibibytes')
  if (kibibytes !== undefined) {
    const directory = fields('directory').join()
    const close = () => channel.close()
    return { kind: 'path', identity: `${owner}:${directory}`, directory, kibibytes: Number(kibibytes), close }
  }
  const boundary = fields('boundary')
  const top = fields('top').join()
  return {
    kind: 'git',
    // What a shallow clone lacks must not be taken for known in a full one.
    identity: `${owner}:${top}${boundary.length > 0 ? ' shallow' : ''}`,
    top,
    prefix: fields('prefix').join(),
    head: fields('head')[0],
    staged: fields('staged').join(),
    worktree: fields('worktree').join(),
    dirty: fields('dirty').length > 0,
    emptied: fields('emptied'),
    boundary,
    submodules: submodulesOf(fields),
    absentSubmodules: fields('absent-submodule'),
    wantsSubmodules: fields('wants-submodules').length > 0,
    untracked: { names: fields('untracked'), count: Number(fields('untracked-count').join()) },
    pack,
    close: () => channel.close(),
  }
}

/** A link `COMMIT PATH`, and lines of .gitmodules, `submodule.NAME.path PATH` and `submodule.NAME.url URL`. */
function submodulesOf(fields: (name: string) => string[]): GitSnapshot['submodules'] {
  const modules = new Map(fields('module').map((line) => [line.split(' ', 1)[0] ?? '', line.replace(/^\S+ /, '')]))
  const urls = new Map(
    [...modules].flatMap(([key, path]) =>
      key.endsWith('.path') ? [[path, modules.get(key.replace(/path$/, 'url')) ?? ''] as const] : [],
    ),
  )
  return fields('submodule').map((line) => {
    const path = line.replace(/^\S+ /, '')
    return { path, commit: line.split(' ', 1)[0] ?? '', url: urls.get(path) ?? '' }
  })
}

async function packFrom(
  channel: Channel,
  lines: Lines,
  { haves, what }: { haves: readonly string[]; what: string },
): Promise<Readable> {
  if (!channel.stdin.write(`${haves.map((have) => `${have}\n`).join('')}\n`)) await once(channel.stdin, 'drain')
  const size = Number(await lines.next())
  if (size > largestPack) throw tooLarge(what, size)
  async function* bytes() {
    yield* lines.rest()
    const { code } = await channel.exit
    if (code !== 0) {
      throw new Problem('git could not pack the flake', { stage: 'evaluate', detail: channel.errorOutput().trim() })
    }
  }
  return Readable.from(bytes(), { objectMode: false })
}

const tooLarge = (what: string, size: number) =>
  new Problem(`the builder lacks ${formatBytes(size)} of the repository of ${what}, which is too much to send`, {
    stage: 'evaluate',
    hints: [
      'give it a repository of its own: the whole history is sent with the files that git tracks',
      'or let the builder fetch it itself, by a reference like git+ssh://…',
    ],
  })

function refusal(problem: string, directory: string, channel: Channel): Problem {
  switch (problem) {
    case 'unfetched':
      return new Problem(`git could not fetch ${directory} on this machine`, {
        stage: 'evaluate',
        detail: channel.errorOutput().trim(),
        hints: [`does this work here, without asking for anything? git ls-remote ${directory}`],
      })
    case 'gone':
      return new Problem(`${directory} has no longer the commit that flake.lock names`, {
        stage: 'evaluate',
        hints: ['update the input: nix flake update; or push that commit again'],
      })
    case 'no-room':
      return new Problem("can't keep inputs in ~/.cache/deploy on this machine", {
        stage: 'evaluate',
        detail: channel.errorOutput().trim(),
      })
    case 'missing':
      return new Problem(`${directory} is not a directory`, { stage: 'evaluate' })
    case 'no-flake':
      return new Problem(`no flake.nix in ${directory}`, {
        stage: 'evaluate',
        hints: ['name the directory of the flake: `flake:` in hosts.yaml'],
      })
    case 'no-git':
      return new Problem(`${directory} is in a git repository, and there is no git on this machine`, {
        stage: 'evaluate',
        hints: ['install git here'],
      })
    case 'sha256':
      return new Problem(`the git repository of ${directory} uses SHA-256, which Nix can't read`, { stage: 'evaluate' })
    case 'untracked-flake':
      return new Problem(`flake.nix in ${directory} is not tracked by git, so it is no part of the flake`, {
        stage: 'evaluate',
        hints: [`git -C ${directory} add flake.nix`],
      })
    default:
      return new Problem(`can't read ${directory}: ${problem}`, { stage: 'evaluate' })
  }
}
