/** YAML, read so that every value can be found again in the text. */
import { type Alias, type Document, isAlias, isMap, isScalar, isSeq, LineCounter, type Node, type Pair } from 'yaml'
import { parseDocument, visit, type YAMLError } from 'yaml'
import type { Path } from './mistake.ts'

export interface Place {
  readonly line: number
  readonly column: number
}

export interface YamlDocument {
  /** Plain data; undefined when the text is not YAML. Anchors, aliases and merge keys are resolved. */
  readonly value: unknown
  readonly mistakes: readonly (Place & { message: string })[]
  /** Where a value stands, or its key; for a path that isn't in the text, the nearest thing above it. */
  place(path: Path, what: 'key' | 'value'): Place
}

/** An alias may stand in many hosts; this many times the data of the file is a mistake or an attack. */
const maxAliasCount = 10_000

export function parseYaml(text: string): YamlDocument {
  const lines = new LineCounter()
  // stringKeys: a host called 10 or null is called that, and keeps its place.
  const options = {
    lineCounter: lines,
    merge: true,
    prettyErrors: false,
    stringKeys: true,
    logLevel: 'error',
  } as const
  const document: Document = parseDocument(text, options)
  const placeOf = (offset: number): Place => {
    const { line, col } = lines.linePos(Math.min(offset, text.length))
    return { line: Math.max(line, 1), column: Math.max(col, 1) }
  }
  const errors = [...document.errors, ...document.warnings]
  const mistakes = [
    ...errors.map((error) => ({ ...placeOf(error.pos[0]), message: inWords(error, text) })),
    ...wrongReferences(document).map(({ offset, message }) => ({ ...placeOf(offset), message })),
  ]
  const place: YamlDocument['place'] = (path, what) => placeOf(offsetOf(document, path, what))
  // A key given twice leaves the rest of the tree sound; anything else doesn't.
  const sound = mistakes.length === errors.length && errors.every((error) => error.code === 'DUPLICATE_KEY')
  if (!sound) return { value: undefined, mistakes, place }
  try {
    return { value: document.toJS({ maxAliasCount }) as unknown, mistakes, place }
  } catch {
    // What remains after the checks above: aliases that multiply without bounds.
    return {
      value: undefined,
      mistakes: [{ line: 1, column: 1, message: 'the aliases of this file multiply too much' }],
      place,
    }
  }
}

function inWords(error: YAMLError, text: string): string {
  if (error.code === 'DUPLICATE_KEY') {
    const name = /^(?:"[^"\n]*"|'[^'\n]*'|[^:,\s{}]+)/.exec(text.slice(error.pos[0]))
    return `${name?.[0] ?? 'this field'} is given twice`
  }
  if (error.code === 'TAB_AS_INDENT') return 'a tab cannot indent YAML: use spaces'
  if (error.code === 'MULTIPLE_DOCS') return 'a second document starts here: one inventory is one document'
  if (error.code === 'NON_STRING_KEY') return 'the name of a field must be a plain word'
  return `not YAML: ${error.message.charAt(0).toLowerCase()}${error.message.slice(1).replace(/\.$/, '')}`
}

function wrongReferences(document: Document): { offset: number; message: string }[] {
  const found: { offset: number; message: string }[] = []
  visit(document, {
    Alias(_, alias) {
      const message = `*${alias.source} refers to no anchor before it`
      if (resolved(alias, document) === undefined) found.push({ offset: alias.range?.[0] ?? 0, message })
    },
    Pair(_, pair) {
      if (!isMergeKey(pair)) return
      const sources = mergeSources(pair, document)
      const message = '<< merges maps: give it an alias of one, or a list of such aliases'
      if (!sources.every(isMap)) found.push({ offset: startOf(pair.key) ?? 0, message })
    },
  })
  return found
}

const isMergeKey = (pair: Pair) => isScalar(pair.key) && pair.key.value === '<<' && pair.key.type === 'PLAIN'

const resolved = (node: unknown, document: Document): unknown =>
  isAlias(node) ? (node as Alias).resolve(document) : node

function mergeSources(pair: Pair, document: Document): unknown[] {
  const value = resolved(pair.value, document)
  return isSeq(value) ? value.items.map((item) => resolved(item, document)) : [value]
}

const startOf = (node: unknown): number | undefined => (node as Node | null | undefined)?.range?.[0]

function offsetOf(document: Document, path: Path, what: 'key' | 'value'): number {
  let node: unknown = document.contents
  let offset = startOf(node) ?? 0
  for (const [index, step] of path.entries()) {
    const inside = resolved(node, document)
    const isLast = index === path.length - 1
    if (isMap(inside)) {
      const pair = pairOf(inside.items, String(step), document)
      if (!pair) return offset
      const empty = isScalar(pair.value) && pair.value.value === null
      const value = empty ? undefined : startOf(pair.value)
      offset = (isLast && what === 'key' ? undefined : value) ?? startOf(pair.key) ?? offset
      // The way down goes on from the key when the value is a block below it.
      if (!isLast) offset = startOf(pair.key) ?? offset
      node = pair.value
    } else if (isSeq(inside) && typeof step === 'number') {
      node = inside.items[step]
      offset = startOf(node) ?? offset
    } else return offset
  }
  return offset
}

function pairOf(pairs: readonly Pair[], key: string, document: Document, depth = 0): Pair | undefined {
  const own = pairs.find((pair) => isScalar(pair.key) && String(pair.key.value) === key && !isMergeKey(pair))
  if (own || depth > 20) return own
  for (const pair of pairs.filter(isMergeKey)) {
    for (const source of mergeSources(pair, document)) {
      const merged = isMap(source) ? pairOf(source.items, key, document, depth + 1) : undefined
      if (merged) return merged
    }
  }
  return undefined
}
