/** What the schema finds wrong, in words. Deciding nothing: every finding is a mistake. */
import * as v from 'valibot'
import { systemsElsewhere } from './fields.ts'
import type { Finding, Path } from './mistake.ts'
import { inventoryFields } from './schema.ts'
import { isMap, unknownFields } from './unknown-fields.ts'
import { closest } from './suggestion.ts'

type Issue = v.BaseIssue<unknown>

/** All findings, and the data as far as it is sound: what a finding is about is left out of it. */
export function findingsOf(value: unknown): { findings: Finding[]; sound: unknown } {
  const result = v.safeParse(inventoryFields, value, { message: wrongType })
  const unknown = unknownFields(inventoryFields, value)
  const findings = (result.issues ?? [])
    .flatMap((issue) => toFindings(issue, []))
    .filter((found) => !hidden(found, unknown))
  const all = [...unknown, ...findings]
  const sound = structuredClone(value)
  for (const finding of all) removeAt(sound, finding.path)
  return { findings: all, sound: all.some((finding) => finding.path.length === 0) ? {} : sound }
}

/** Below something that isn't even a map nothing else is worth telling; nor is "names no kind" beside a misspelt one. */
function hidden(finding: Finding, unknown: readonly Finding[]): boolean {
  const within = (outer: Path, inner: Path) => outer.every((step, index) => step === inner[index])
  return unknown.some(
    (one) => within(one.path, finding.path) || (finding.path.length > 0 && isParent(finding.path, one.path)),
  )

  function isParent(outer: Path, inner: Path): boolean {
    return outer.length === inner.length - 1 && within(outer, inner)
  }
}

function toFindings(issue: Issue, above: Path): Finding[] {
  const items = issue.path ?? []
  const path = [...above, ...items.map((item) => item.key as string | number)]
  if (issue.kind === 'schema' && issue.type === 'strict_object' && items.at(-1)?.origin === 'key') {
    // Unknown fields are told by unknown-fields.ts: valibot names only the first of each map.
    if (issue.expected === 'never') return []
    return [{ path: path.slice(0, -1), message: `${String(path.at(-1))} is missing`, at: 'key' }]
  }
  // Of the forms a value may have, tell of the one that it nearly has.
  const nearly =
    issue.kind === 'schema' && issue.type === 'union' ? (issue.issues ?? []).filter((inner) => inner.path) : []
  if (nearly.length > 0) return nearly.flatMap((inner) => toFindings(inner, path))
  const options = optionsOf(issue)
  const suggestion = typeof issue.input === 'string' && options ? meantOption(issue.input, options) : undefined
  const at = items.at(-1)?.origin === 'key' ? ({ at: 'key' } as const) : {}
  return [{ path, message: issue.message, suggestion, ...at }]
}

function meantOption(word: string, options: readonly string[]): string | undefined {
  const elsewhere = systemsElsewhere[word]
  return elsewhere && options.includes(elsewhere) ? elsewhere : closest(word, options)
}

/** The words of a picklist; valibot keeps them only as the text `("a" | "b")`. */
function optionsOf(issue: Issue): string[] | undefined {
  if (issue.type !== 'picklist') return undefined
  return [...(issue.expected ?? '').matchAll(/"([^"]+)"/g)].map((match) => match[1] ?? '')
}

const nouns: Record<string, string> = {
  string: 'a string',
  number: 'a number',
  boolean: 'true or false',
  Object: 'a map of fields',
  Array: 'a list',
}

function wrongType(issue: Issue): string {
  const options = optionsOf(issue)
  const wanted = options ? `one of ${options.slice(0, 6).join(', ')}${options.length > 6 ? ', …' : ''}` : undefined
  return `must be ${wanted ?? nouns[issue.expected ?? ''] ?? issue.expected ?? 'something else'}, ${butIs(issue.input)}`
}

export function butIs(value: unknown): string {
  if (value === null || value === undefined) return 'but is empty'
  if (Array.isArray(value)) return 'not a list'
  if (typeof value === 'object') return 'not a map'
  return typeof value === 'string' ? `not ${JSON.stringify(value)}` : `not the ${typeof value} ${String(value)}`
}

/** Lists keep their places: what follows an element that was taken out is still found where it stands. */
function removeAt(root: unknown, path: Path): void {
  let above: unknown = root
  for (const step of path.slice(0, -1)) above = (above as Record<string | number, unknown> | undefined)?.[step]
  const last = path.at(-1)
  if (last === undefined) return
  if (Array.isArray(above) && typeof last === 'number') above[last] = undefined
  else if (isMap(above)) delete above[last]
}
