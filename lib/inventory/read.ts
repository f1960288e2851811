/** hosts.yaml, read and checked: all of its mistakes at once, or an inventory that is right in itself. */
import { basename } from 'node:path'
import { parseYaml, type YamlDocument } from './document.ts'
import { findingsOf } from './findings.ts'
import type { Inventory } from './inventory.ts'
import { type Finding, InventoryProblem, type Mistake, type Path, showPath } from './mistake.ts'
import { resolveInventory } from './resolve.ts'
import type { RawInventory } from './schema.ts'
import { isMap } from './unknown-fields.ts'

/**
 * `file` is the absolute path of the text; directories in it are relative to its directory. `shownAs` is the name that
 * stands before every line number. Throws an InventoryProblem (of kind `usage`) that carries every mistake.
 */
export function readInventory(text: string, file: string, shownAs: string = basename(file)): Inventory {
  const document = parseYaml(text)
  const syntax = document.mistakes.map((mistake) => ({ ...mistake, path: '' }))
  if (document.value === undefined) throw new InventoryProblem(shownAs, inOrder(syntax))
  if (document.value === null) {
    const message = 'the file is empty: it needs at least a host'
    throw new InventoryProblem(shownAs, [{ line: 1, column: 1, path: '', message }, ...syntax])
  }
  const { findings, sound } = findingsOf(document.value)
  const { inventory, findings: more } = resolveInventory(file, {
    raw: sound as Partial<RawInventory>,
    hostNames: namesBelow(document, 'hosts'),
    builderNames: namesBelow(document, 'builders'),
    findings,
  })
  const mistakes = [...syntax, ...[...findings, ...more].map((finding) => placed(finding, document))]
  if (mistakes.length > 0) throw new InventoryProblem(shownAs, inOrder(mistakes))
  return inventory
}

/** In the order of the text: JavaScript would put a host called 10 first. */
function namesBelow(document: YamlDocument, field: string): string[] {
  const map = isMap(document.value) ? document.value[field] : undefined
  if (!isMap(map)) return []
  const placeOf = (name: string) => document.place([field, name], 'key')
  return Object.keys(map).sort((a, b) => byPlace(placeOf(a), placeOf(b)))
}

function placed(finding: Finding, document: YamlDocument): Mistake {
  const { path, message, suggestion } = finding
  const place = document.place(path as Path, finding.at ?? 'value')
  return { ...place, path: showPath(path), message, ...(suggestion === undefined ? {} : { suggestion }) }
}

const byPlace = (a: { line: number; column: number }, b: { line: number; column: number }) =>
  a.line - b.line || a.column - b.column

/** A mistake behind an alias is told once, not for every host that merges it. */
function inOrder(mistakes: readonly Mistake[]): Mistake[] {
  const once = new Map<string, Mistake>()
  for (const mistake of mistakes) {
    const key = `${mistake.line}:${mistake.column}:${mistake.message}`
    if (!once.has(key)) once.set(key, mistake)
  }
  return [...once.values()].sort(byPlace)
}
