/** Builds, and how they ended. */
import type { BuildResult, NixEvent } from '../store.ts'
import { type DerivationPath, parseDerivationPath, type StorePath } from '../store-path.ts'
import type { Connection } from './connection.ts'
import { operation } from './operations.ts'
import { storePathFrom } from './path-info.ts'
import { allOutputs, queryDerivationOutputMap } from './queries.ts'
import { DaemonError, untilAnswer, withoutColours } from './said.ts'
import { NotUnderstood, type WireReader } from './wire-reader.ts'
import { integer, strings } from './wire.ts'

type OnEvent = (event: NixEvent) => void

/**
 * SetOptions is never sent, as over `ssh-ng://`: it would put values of ours in the place of the builder's own number
 * of jobs and cores. Then Nix stops at the first failure and has no verdict on the other builds (2.34 leaves them
 * out, 2.26 calls them failed without a message): those are asked for again. A daemon started with
 * `--option keep-going true` has them all at once; 2.8 passes that on only when it runs as root.
 */
export async function build(
  connection: Connection,
  derivations: readonly DerivationPath[],
  onEvent: OnEvent,
): Promise<BuildResult[]> {
  const verdicts = new Map<DerivationPath, BuildResult>()
  for (let open = [...new Set(derivations)]; open.length > 0; ) {
    const answers = connection.minor < 34 ? buildOneByOne : buildWithResults
    const found = (await answers(connection, open, onEvent)).filter((answer) => answer.ok || answer.message !== '')
    for (const answer of found) verdicts.set(answer.derivation, await withOutputs(connection, answer))
    const left = open.filter((derivation) => !verdicts.has(derivation))
    if (left.length === open.length) break
    open = left
  }
  const noVerdict = { ok: false, message: 'Nix neither built it nor says why', outputs: {} }
  return derivations.map((derivation) => verdicts.get(derivation) ?? { derivation, ...noVerdict })
}

/** Nix knows the outputs of what it built; the ones of what was there already may have to be asked for. */
async function withOutputs(connection: Connection, result: BuildResult): Promise<BuildResult> {
  if (!result.ok || Object.keys(result.outputs).length > 0) return result
  return { ...result, outputs: await queryDerivationOutputMap(connection, result.derivation) }
}

function buildWithResults(connection: Connection, derivations: readonly DerivationPath[], onEvent: OnEvent) {
  return connection.exclusively(async () => {
    const { reader } = connection
    await request(connection, operation.buildPathsWithResults, derivations)
    await untilAnswer(reader, onEvent)
    return reader.list(() => readBuildResult(reader, connection.minor))
  })
}

/** For Nix before 2.8, which says in one word whether all went well. */
async function buildOneByOne(connection: Connection, derivations: readonly DerivationPath[], onEvent: OnEvent) {
  const results: BuildResult[] = []
  for (const derivation of derivations) {
    try {
      await connection.exclusively(async () => {
        await request(connection, operation.buildPaths, [derivation])
        await untilAnswer(connection.reader, onEvent)
        await connection.reader.integer()
      })
      results.push({ derivation, ok: true, message: '', outputs: {} })
    } catch (error) {
      if (!(error instanceof DaemonError)) throw error
      results.push({ derivation, ok: false, message: withoutColours(error.detail) || error.message, outputs: {} })
    }
  }
  return results
}

const normalMode = integer(0)

const request = (connection: Connection, number: number, derivations: readonly DerivationPath[]) =>
  connection.send(Buffer.concat([integer(number), strings(derivations.map(allOutputs)), normalMode]))

/** Built, substituted, already valid, resolves to already valid (nix: build-result.hh). */
const successes = new Set([0, 1, 2, 13])

async function readBuildResult(reader: WireReader, minor: number): Promise<BuildResult> {
  const [derivation = ''] = (await reader.string()).split('!')
  const ok = successes.has(await reader.integer())
  const message = withoutColours(await reader.string()).trim()
  // times built, not deterministic, start and stop
  for (let left = 4; left > 0; left--) await reader.roughInteger()
  // processor time of the user and of the system, each optional
  if (minor >= 37) for (let left = 2; left > 0; left--) if (await reader.boolean()) await reader.roughInteger()
  const outputs = await reader.list(() => readOutput(reader))
  return { derivation: derivationFrom(derivation), ok, message, outputs: Object.fromEntries(outputs) }
}

function derivationFrom(text: string): DerivationPath {
  try {
    return parseDerivationPath(text)
  } catch (cause) {
    throw new NotUnderstood(`${JSON.stringify(text.slice(0, 300))} instead of a derivation`, { cause })
  }
}

/** `sha256:<hash>!<output>` and a realisation in JSON. */
async function readOutput(reader: WireReader): Promise<[string, StorePath]> {
  const id = await reader.string()
  return [id.slice(id.lastIndexOf('!') + 1), storePathFrom(`/nix/store/${outPathIn(await reader.string())}`)]
}

function outPathIn(realisation: string): string {
  try {
    const { outPath } = JSON.parse(realisation) as { outPath?: unknown }
    if (typeof outPath === 'string') return outPath
  } catch {}
  throw new NotUnderstood(`${realisation.slice(0, 300)} instead of a realisation`)
}
