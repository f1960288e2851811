/** Realises derivations in a builder's store, and says why where it can't. */
import { Activities, shortName } from '../nix/activity.ts'
import type { BuildResult, Store } from '../nix/store.ts'
import type { DerivationPath, StorePath } from '../nix/store-path.ts'
import { Problem } from '../problem.ts'
import type { BuilderEvents } from './builder.ts'

export interface RealiseParts {
  readonly store: Store
  /** The builder's name in hosts.yaml. */
  readonly builder: string
  /** Makes the derivations anew, from the same source. */
  evaluateAgain(): Promise<void>
}

/** Failed builds are values; rejects when the builder itself fails. */
export async function realise(
  parts: RealiseParts,
  derivations: readonly DerivationPath[],
  events: BuilderEvents,
): Promise<ReadonlyMap<DerivationPath, StorePath | Problem>> {
  const results = new Map<DerivationPath, StorePath | Problem>()
  const present = await keep(parts, derivations)
  for (const one of derivations) if (!present.includes(one)) results.set(one, changed(one))
  const said: string[] = []
  const activities = new Activities(events)
  const built = await parts.store.build(present, (event) => {
    activities.on(event)
    if (event.kind !== 'message') return
    said.push(event.text)
    for (const line of event.text.split('\n')) events.log(line)
  })
  for (const one of built) results.set(one.derivation, outcome(one, { parts, activities, said }))
  return results
}

/** Keeps the derivations from the garbage collector. Those that it took before are evaluated once more. */
async function keep({ store, evaluateAgain }: RealiseParts, derivations: readonly DerivationPath[]) {
  const roots = async () => {
    await store.addTempRoots(derivations)
    const valid = await store.queryValidPaths(derivations, { substitute: false })
    return derivations.filter((one) => valid.has(one))
  }
  const present = await roots()
  if (present.length === derivations.length) return present
  await evaluateAgain()
  return await roots()
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
      ...failed.map(([one]) => wholeLog(one, parts.builder)),
      ...(/timed out after/.test(words)
        ? [`the limit is \`timeout\` or \`max-silent-time\`: of --option, or of nix.conf on ${parts.builder}`]
        : []),
    ],
  })
}

export const wholeLog = (derivation: string, builder: string): string =>
  `see the whole log: nix log ${derivation} (on ${builder})`

const changed = (derivation: DerivationPath) =>
  new Problem(`${shortName(derivation)} is no longer what the flake evaluates to`, {
    stage: 'build',
    hints: ['the source was changed during the deployment, and the garbage collector ran: deploy again'],
  })
