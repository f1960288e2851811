/** One builder of two: somebody who evaluates, and a store that builds. */
import type { Clock } from '../clock.ts'
import { formatBytes } from '../format.ts'
import { patience } from '../nix/patience.ts'
import type { Missing, Store } from '../nix/store.ts'
import type { DerivationPath, StorePath } from '../nix/store-path.ts'
import { transfer } from '../nix/transfer.ts'
import { DaemonLost } from '../nix/worker-protocol.ts'
import { Problem, partsOf } from '../problem.ts'
import type {
  Builder,
  BuilderEvents,
  BuildStore,
  EvaluationOptions,
  Evaluator,
  NixSetting,
  OpenStore,
} from './builder.ts'
import type { Load } from './load.ts'
import { changed, keep, realise } from './realise.ts'
import { timeLimits, watchLimits } from './time-limits.ts'

interface Work {
  readonly events: BuilderEvents
  readonly signal: AbortSignal
}

export interface BuilderParts {
  readonly evaluator: Evaluator
  readonly store: BuildStore
  readonly clock: Clock
}

/**
 * With a store that isn't the evaluator's own, derivations and their sources go from the one to the other through this
 * machine, so that neither needs to know how to reach the other.
 */
export function builderOf(name: string, { evaluator, store, clock }: BuilderParts): Builder {
  const isOwnStore = (evaluator as object) === store
  let evaluated: { configurations: readonly string[]; options: EvaluationOptions } | undefined

  const evaluate: Builder['evaluate'] = (configurations, options, events, signal) => {
    evaluated = { configurations, options }
    return evaluator.evaluate(configurations, options, events, signal)
  }

  async function load(signal: AbortSignal): Promise<Load> {
    const opening = isOwnStore ? undefined : store.openStore(signal)
    const [ofEvaluator] = await Promise.all([evaluator.load(signal), opening?.then((open) => open.close())])
    return ofEvaluator
  }

  /** The derivations that are gone come anew, from the same source. */
  async function evaluateAgain({ events, signal }: Work): Promise<void> {
    if (!evaluated) return
    events.progress('evaluating once more: the derivations were collected as garbage')
    await evaluator.evaluate(evaluated.configurations, evaluated.options, events, signal)
  }

  /** Its loss is not the store's. */
  function ofEvaluator(error: unknown): never {
    if (!(error instanceof DaemonLost)) throw error
    throw new Problem(`the store of ${evaluator.name}: ${error.message}`, { ...partsOf(error), kind: 'failed' })
  }

  async function bring(derivations: readonly DerivationPath[], to: Store, work: Work): Promise<void> {
    const from = await evaluator.openStore(work.signal)
    try {
      const roots = await keep(from, derivations, () => evaluateAgain(work)).catch(ofEvaluator)
      if (roots.length > 0) await send(roots, { from, to }, work)
    } finally {
      from.close()
    }
  }

  async function send(roots: readonly DerivationPath[], ends: { from: Store; to: Store }, work: Work): Promise<void> {
    const { events } = work
    const sending = `sending derivations to ${store.name}`
    const { signal, moved, end } = patience(sending, { clock, signal: work.signal })
    const { closurePaths, sentPaths, sentBytes } = await transfer({
      roots,
      from: { store: ends.from, name: `the store of ${evaluator.name}` },
      to: { store: ends.to, name: `the store ${store.name}` },
      substitute: false,
      fromAbove: true,
      whenUntrusted: `${store.name} takes only what is signed or content-addressed, which a built path among the sources is not`,
      onMove: moved,
      onProgress({ pathsDone, pathsTotal, bytesDone, bytesTotal }) {
        const amount = `${formatBytes(bytesDone)} of ${formatBytes(bytesTotal)}`
        events.progress(`${sending}, ${pathsDone}/${pathsTotal} paths, ${amount}`)
      },
      signal,
    }).finally(end)
    const amount = `${sentPaths} of ${closurePaths} paths, ${formatBytes(sentBytes)}`
    events.note(`derivations and sources sent to ${store.name}: ${amount}`)
  }

  async function withStore<Result>(
    work: Work,
    use: (open: Store, supply: (missing: readonly DerivationPath[]) => Promise<void>) => Promise<Result>,
    after: (open: OpenStore, result: Result) => void = (open) => open.close(),
  ): Promise<Result> {
    const { signal } = work
    const open = await store.openStore(signal, evaluated?.options.options)
    // It may have been opened for an evaluation, and by its signal.
    const close = () => open.close()
    signal.addEventListener('abort', close, { once: true })
    if (signal.aborted) close()
    try {
      const result = await use(open, (missing) => (isOwnStore ? evaluateAgain(work) : bring(missing, open, work)))
      after(open, result)
      return result
    } catch (error) {
      close()
      signal.throwIfAborted()
      throw error instanceof Problem && !(error instanceof DaemonLost) ? error.at({ stage: 'build' }) : error
    }
  }

  /** Whoever hangs up ends what is built for him. */
  const withLimits = (open: OpenStore, options: readonly NixSetting[]): OpenStore => ({
    ...open,
    async build(derivations, onEvent) {
      const { whereLogIs } = store
      const limits = watchLimits(options, { clock, whereLogIs, onLimit: () => open.close() })
      try {
        return await open.build(derivations, (event) => {
          limits.on(event)
          onEvent(event)
        })
      } catch (error) {
        throw limits.problem() ?? error
      } finally {
        limits.end()
      }
    },
  })

  return {
    name,
    evaluate,
    load,
    missing: (derivations, events, signal) =>
      withStore({ events, signal }, async (open, supply) => {
        const answers = new Map<DerivationPath, Missing | Problem>(derivations.map((one) => [one, changed(one)]))
        const present = await keep(open, derivations, supply)
        const found = await open.queryMissing(present)
        present.forEach((one, index) => void answers.set(one, found[index] ?? changed(one)))
        return answers
      }),
    async build(derivations, events, signal) {
      const options = evaluated?.options.options ?? []
      // A service may know none of Nix's settings, and end at one that it doesn't know.
      const untold = isOwnStore ? [] : options.filter(([setting]) => !timeLimits.some((limit) => limit === setting))
      if (untold.length > 0) {
        const names = untold.map(([setting]) => setting).join(', ')
        events.warning(`--option ${names}: for the evaluation on ${evaluator.name} alone; ${store.name} is not told`)
      }
      const once = () =>
        withStore(
          { events, signal },
          (open, supply) => {
            const limited = isOwnStore ? open : withLimits(open, options)
            return realise({ store: limited, supply, about: store }, derivations, events)
          },
          keepBuilt,
        )
      try {
        return await once()
      } catch (error) {
        if (!(error instanceof DaemonLost)) throw error
        // What was built until then is in the store.
        events.warning(`${store.name} went away in the middle of the build: going on there once more`)
      }
      return await once().catch((error: unknown) => {
        if (!(error instanceof DaemonLost)) throw error
        throw new Problem(`${store.name} went away in the middle of the build, twice`, {
          ...partsOf(error),
          stage: 'build',
        })
      })
    },
    bootFiles: store.bootFiles,
    openStore: store.openStore,
    shell: store.shell,
  }
}

/** The connection stays open, for nothing but what it keeps from the garbage collector. */
function keepBuilt(open: OpenStore, results: ReadonlyMap<DerivationPath, StorePath | Problem>): void {
  const built = [...results.values()].flatMap((result) => (result instanceof Problem ? [] : [result]))
  if (built.length === 0) {
    open.close()
    return
  }
  // The builds have kept them so far. Nobody has to wait, and where it fails, only less is kept.
  open.addTempRoots(built).catch(() => {})
  open.giveWay?.()
}
