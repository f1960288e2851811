/** Realises derivations in a builder's store, and says why where it can't. */
import { stripVTControlCharacters } from 'node:util'
import { Activities, shortName } from '../nix/activity.ts'
import type { BuildResult, Store } from '../nix/store.ts'
import type { DerivationPath, StorePath } from '../nix/store-path.ts'
import { DaemonLost } from '../nix/worker-protocol.ts'
import { partsOf, Problem } from '../problem.ts'
import type { BuilderEvents, BuildStore } from './builder.ts'

export interface RealiseParts {
  readonly store: Store
  /** Brings derivations into the store that it lacks. */
  supply(missing: readonly DerivationPath[]): Promise<void>
  readonly about: Pick<BuildStore, 'name' | 'whereLogIs' | 'ownWords' | 'hintsAfter'>
}

/** Failed builds are values; rejects when the builder itself fails. */
export async function realise(
  parts: RealiseParts,
  derivations: readonly DerivationPath[],
  events: BuilderEvents,
): Promise<ReadonlyMap<DerivationPath, StorePath | Problem>> {
  const results = new Map<DerivationPath, StorePath | Problem>()
  const present = await keep(parts.store, derivations, parts.supply)
  for (const one of derivations) if (!present.includes(one)) results.set(one, changed(one))
  const said: string[] = []
  const log = (line: string) => {
    events.log(line)
    const own = parts.about.ownWords?.(line)
    if (own !== undefined) events.progress(own)
  }
  const wantedBy = whoWants(parts.store, present)
  const activities = new Activities({
    progress: (text, about) => events.progress(text, about === undefined ? undefined : wantedBy(about)),
    log,
  })
  const building = parts.store.build(present, (event) => {
    activities.on(event)
    if (event.kind !== 'message') return
    said.push(event.text)
    for (const line of event.text.split('\n')) log(line)
  })
  const built = await building.catch((error: unknown) => {
    throw nothingBuilt(error, parts, said)
  })
  for (const one of built) results.set(one.derivation, outcome(one, { parts, activities, said }))
  return results
}

/** Keeps derivations from the garbage collector. Those that are not there are supplied first; what is there then. */
export async function keep(
  store: Store,
  derivations: readonly DerivationPath[],
  supply: (missing: readonly DerivationPath[]) => Promise<void>,
): Promise<DerivationPath[]> {
  const present = await rooted(store, derivations)
  if (present.length === derivations.length) return present
  await supply(derivations.filter((one) => !present.includes(one)))
  return await rooted(store, derivations)
}

async function rooted(store: Store, derivations: readonly DerivationPath[]): Promise<DerivationPath[]> {
  // Before asking: a collection would take what was found valid a moment ago.
  await store.addTempRoots(derivations)
  const valid = await store.queryValidPaths(derivations, { substitute: false })
  return derivations.filter((one) => valid.has(one))
}

/** Each is a walk through a whole closure; of more, whoever waits could not read the names. */
const mostToTellApart = 20

/** Of something that is built or fetched: those of the derivations that need it, once that is known. It is not waited for. */
function whoWants(store: Store, derivations: readonly DerivationPath[]) {
  const wanted = new Map<string, DerivationPath[]>()
  if (derivations.length > 1 && derivations.length <= mostToTellApart) {
    void store.queryMissing(derivations).then(
      (found) => {
        for (const [index, { willBuild, willSubstitute }] of found.entries()) {
          const [derivation] = derivations.slice(index)
          for (const path of [...willBuild, ...willSubstitute])
            if (derivation) wanted.set(path, [...(wanted.get(path) ?? []), derivation])
        }
      },
      // The build that follows has the same daemon, and tells.
      () => {},
    )
  }
  return (about: string) => wanted.get(about)
}

/** Of a daemon that tells of no single build, the words that say why are among what it said before. */
function nothingBuilt(error: unknown, { about }: RealiseParts, said: readonly string[]): unknown {
  if (!(error instanceof Problem) || error instanceof DaemonLost) return error
  const words = stripVTControlCharacters([...said, error.message, error.detail].join('\n'))
  const hints = about.hintsAfter?.(words) ?? []
  if (hints.length === 0) return error
  // Around them it lists all machines, once for each derivation.
  const reasons = new Set(words.match(/^.*(?:cannot build on|Unable to start).*$/gm))
  const detail = [...reasons].map((line) => line.trim()).join('\n') || words.trim()
  return new Problem(`${about.name} could start no build`, { ...partsOf(error), detail, hints })
}

interface Told {
  readonly parts: RealiseParts
  readonly activities: Activities
  readonly said: readonly string[]
}

function outcome(built: BuildResult, { parts, activities, said }: Told): StorePath | Problem {
  const { derivation, ok, message, outputs } = built
  const output = outputs['out']
  if (ok && output) return output
  const name = shortName(derivation)
  if (ok) return new Problem(`${name} has no output named out`, { stage: 'build' })
  const words = [...said, message].join('\n')
  const failed = [...activities.lastLines].filter(([one]) => words.includes(one))
  // Nix shows them itself when the derivation is not just a dependency.
  const unseen = failed.filter(([, lines]) => !message.includes(lines.at(-1) ?? ''))
  const logs = unseen.map(([one, lines]) => [`last lines of ${shortName(one)}:`, ...lines].join('\n'))
  return new Problem(`build of ${name} failed`, {
    stage: 'build',
    detail: [message, ...logs].join('\n'),
    hints: [
      ...failed.map(([one]) => parts.about.whereLogIs(one)),
      ...(/timed out after/.test(words)
        ? [`the limit is \`timeout\` or \`max-silent-time\`: of --option, or of nix.conf on ${parts.about.name}`]
        : []),
      ...(startsNone.test(message) ? (parts.about.hintsAfter?.(words) ?? []) : []),
    ],
  })
}

/** A build that failed for another reason may follow a builder that was not to be had. */
const startsNone = /Unable to start any build|[Ff]ailed to find a machine for remote build|cannot build on '/

/** For a derivation that can't be made again. */
export const changed = (derivation: DerivationPath) =>
  new Problem(`${shortName(derivation)} is no longer what the flake evaluates to`, {
    stage: 'build',
    hints: ['the source was changed during the deployment, and the garbage collector ran: deploy again'],
  })
