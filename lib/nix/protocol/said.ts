/** Everything the daemon says before it answers: log lines, activities, and errors. */
import { Problem } from '../../problem.ts'
import type { NixEvent } from '../store.ts'
import { said } from './operations.ts'
import { NotUnderstood, type WireReader } from './wire-reader.ts'

/** An error that the daemon reported in order: the connection goes on. */
export class DaemonError extends Problem {}

// Escape sequences for colours and for links.
// biome-ignore lint/suspicious/noControlCharactersInRegex: that is what they begin with
const escapes = /\x1b(\[[0-9;:?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\))/g

export const withoutColours = (text: string): string => text.replaceAll(escapes, '')

/** Reads up to the answer of an operation. Rejects with a DaemonError when there is none. */
export async function untilAnswer(reader: WireReader, onEvent?: (event: NixEvent) => void): Promise<void> {
  for (;;) {
    const word = await reader.integer()
    if (word === said.last) return
    if (word === said.error) throw await readError(reader)
    const event = await readEvent(reader, word)
    onEvent?.(event)
  }
}

async function readEvent(reader: WireReader, word: number): Promise<NixEvent> {
  switch (word) {
    case said.next:
      return { kind: 'message', text: (await reader.string()).replace(/\n+$/, '') }
    case said.startActivity: {
      const id = await reader.roughInteger()
      await reader.integer() // how important it is
      const type = await reader.integer()
      const text = await reader.string()
      const fields = await readFields(reader)
      return { kind: 'start', id, type, text, fields, parent: await reader.roughInteger() }
    }
    case said.stopActivity:
      return { kind: 'stop', id: await reader.roughInteger() }
    case said.result: {
      const id = await reader.roughInteger()
      const type = await reader.integer()
      return { kind: 'result', id, type, fields: await readFields(reader) }
    }
    default:
      throw new NotUnderstood(`a message of unknown kind ${word.toString(16)}`)
  }
}

const readFields = (reader: WireReader) =>
  reader.list(async () => {
    const type = await reader.integer()
    if (type === 0) return reader.roughInteger()
    if (type === 1) return reader.string()
    throw new NotUnderstood(`a field of unknown type ${type}`)
  })

/** An error as it is written since 1.26, after the word that announces it. */
export async function readError(reader: WireReader): Promise<DaemonError> {
  await reader.string() // always "Error"
  await reader.integer() // level
  await reader.string() // name, always "Error"
  const text = await reader.string()
  await reader.integer() // a position, never sent
  const traces = await reader.list(async () => {
    await reader.integer() // the same
    return reader.string()
  })
  const [first, ...rest] = withoutColours(text).trim().split('\n')
  const detail = rest.length > 0 || traces.length > 0 || text.includes('\x1b') ? [text, ...traces].join('\n') : ''
  return new DaemonError(first?.trim() || 'the Nix daemon reported an error without words', { detail })
}
