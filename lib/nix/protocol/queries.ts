/** Questions to a store that change nothing in it. Each waits for its turn on the connection. */
import { Problem } from '../../problem.ts'
import type { Missing, NixEvent, PathInfo } from '../store.ts'
import type { DerivationPath, StorePath } from '../store-path.ts'
import type { Connection } from './connection.ts'
import { operation } from './operations.ts'
import { readPathInfo, readStorePath } from './path-info.ts'
import { DaemonError, untilAnswer } from './said.ts'
import { boolean, integer, string, strings } from './wire.ts'

/** Bytes of requests written at once. */
const portion = 64 * 1024

export function queryValidPaths(
  connection: Connection,
  paths: readonly StorePath[],
  options: { substitute: boolean; onEvent?: (event: NixEvent) => void },
): Promise<Set<StorePath>> {
  return connection.exclusively(async () => {
    const { reader } = connection
    const request = [integer(operation.queryValidPaths), strings(paths), boolean(options.substitute)]
    const sent = connection.send(Buffer.concat(request))
    await Promise.all([sent, untilAnswer(reader, options.onEvent)])
    return new Set(await reader.list(() => readStorePath(reader)))
  })
}

export async function queryPathInfos(connection: Connection, paths: readonly StorePath[]): Promise<PathInfo[]> {
  const answers = await pipelined(connection, paths, {
    ask: (path) => Buffer.concat([integer(operation.queryPathInfo), string(path)]),
    answer: async (path) => ((await connection.reader.boolean()) ? readPathInfo(connection.reader, path) : undefined),
  })
  const infos = answers.filter((info) => info !== undefined)
  if (infos.length === paths.length) return infos
  const missing = paths.filter((_, index) => answers[index] === undefined)
  throw new Problem(
    `${missing[0]} is not in the store${missing.length > 1 ? `, nor are ${missing.length - 1} more` : ''}`,
  )
}

export async function addTempRoots(connection: Connection, paths: readonly StorePath[]): Promise<void> {
  await pipelined(connection, paths, {
    ask: (path) => Buffer.concat([integer(operation.addTempRoot), string(path)]),
    answer: () => connection.reader.integer(),
  })
}

export async function queryMissing(connection: Connection, derivations: readonly DerivationPath[]): Promise<Missing[]> {
  const { reader } = connection
  const paths = () => reader.list(() => readStorePath(reader))
  return pipelined(connection, derivations, {
    ask: (derivation) => Buffer.concat([integer(operation.queryMissing), strings([allOutputs(derivation)])]),
    answer: async () => ({
      willBuild: await paths(),
      willSubstitute: await paths(),
      unknown: await paths(),
      downloadSize: await reader.integer(),
      narSize: await reader.integer(),
    }),
  })
}

/** By output name. Outputs whose path is not known are left out. Since protocol 1.22. */
export function queryDerivationOutputMap(
  connection: Connection,
  derivation: DerivationPath,
): Promise<Record<string, StorePath>> {
  return connection.exclusively(async () => {
    const { reader } = connection
    connection.post(Buffer.concat([integer(operation.queryDerivationOutputMap), string(derivation)]))
    await untilAnswer(reader)
    const outputs = await reader.list(async () => [await reader.string(), await reader.string()] as const)
    return Object.fromEntries(outputs.filter(([, path]) => path !== '')) as Record<string, StorePath>
  })
}

/** A derivation with all its outputs, as the worker protocol names it (since 1.30). */
export const allOutputs = (derivation: DerivationPath): string => `${derivation}!*`

/**
 * Writes all questions while it reads the answers, so that neither side waits for the other with full hands. All
 * answers are read even when one is an error: the first error is thrown, and the connection goes on.
 */
function pipelined<Question, Answer>(
  connection: Connection,
  questions: readonly Question[],
  how: { ask: (question: Question) => Buffer; answer: (question: Question) => Promise<Answer> },
): Promise<Answer[]> {
  return connection.exclusively(async () => {
    const answers: Answer[] = []
    let failure: DaemonError | undefined
    const read = async () => {
      for (const question of questions) {
        try {
          await untilAnswer(connection.reader)
          answers.push(await how.answer(question))
        } catch (error) {
          if (!(error instanceof DaemonError)) throw failure ?? error
          failure ??= error
        }
      }
    }
    await Promise.all([writeAll(connection, questions.map(how.ask)), read()])
    if (failure) throw failure
    return answers
  })
}

/** In portions, each waiting for room. */
export async function writeAll(connection: Connection, requests: readonly Buffer[]): Promise<void> {
  for (let from = 0, to = 0; from < requests.length; from = to) {
    for (let bytes = 0; to < requests.length && bytes < portion; to++) bytes += requests[to]?.length ?? 0
    await connection.send(Buffer.concat(requests.slice(from, to)))
  }
}
