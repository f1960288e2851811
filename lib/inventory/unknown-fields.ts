/** Fields that the schema doesn't know, all of them, each with the field that was probably meant. */
import type { Finding, Path } from './mistake.ts'
import { closest } from './suggestion.ts'

/** The parts of valibot's schemas that say how data nests. */
interface Shape {
  readonly type: string
  readonly entries?: Readonly<Record<string, unknown>>
  readonly value?: unknown
  readonly item?: unknown
  readonly wrapped?: unknown
  readonly options?: readonly unknown[]
}

export const isMap = (value: unknown): value is Record<string | number, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Also finds what valibot lets through: lists in place of maps, and names that every JavaScript object has. */
export function unknownFields(schema: unknown, value: unknown, path: Path = []): Finding[] {
  const shape = schema as Shape
  if (shape.wrapped) return value === null ? [] : unknownFields(shape.wrapped, value, path)
  if (shape.type === 'union') return unknownInUnion(shape.options ?? [], value, path)
  if (shape.type === 'array') {
    return Array.isArray(value) ? value.flatMap((item, index) => unknownFields(shape.item, item, [...path, index])) : []
  }
  if (shape.type !== 'strict_object' && shape.type !== 'record') return []
  if (Array.isArray(value)) return [{ path, message: 'must be a map of fields, not a list' }]
  if (!isMap(value)) return []
  return Object.keys(value).flatMap((key) => {
    const below = [...path, key]
    if (shape.type === 'record') {
      if (!reserved.has(key)) return unknownFields(shape.value, value[key], below)
      return [{ path: below, message: 'this name is taken by JavaScript: choose another', at: 'key' as const }]
    }
    const entries = shape.entries ?? {}
    if (Object.hasOwn(entries, key)) return unknownFields(entries[key], value[key], below)
    const others = Object.keys(entries).filter((field) => !Object.hasOwn(value, field))
    const suggestion = closest(key, others) ?? fieldBelow(entries, key)
    return [{ path: below, message: 'unknown field', suggestion, at: 'key' as const }]
  })
}

/** `activation.settle` for a `settle` that was written one level too high. */
function fieldBelow(entries: Readonly<Record<string, unknown>>, key: string): string | undefined {
  const field = Object.keys(entries).find((name) => {
    let shape = entries[name] as Shape
    while (shape.wrapped) shape = shape.wrapped as Shape
    return shape.type === 'strict_object' && Object.hasOwn(shape.entries ?? {}, key)
  })
  return field && `${field}.${key}`
}

const reserved = new Set(['__proto__', 'prototype', 'constructor'])

function unknownInUnion(options: readonly unknown[], value: unknown, path: Path): Finding[] {
  if (!isMap(value)) return []
  return options.flatMap((option) => unknownFields(option, value, path))
}
