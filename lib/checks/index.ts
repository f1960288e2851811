/** The kinds of health checks. */
import type { CheckSpec } from '../inventory/inventory.ts'
import type { Check } from './check.ts'
import { commandCheck } from './command.ts'
import { httpCheck } from './http.ts'
import { localCheck } from './local.ts'
import { tcpCheck } from './tcp.ts'
import { unitCheck } from './unit.ts'

type Kinds = { [Kind in CheckSpec['kind']]: (spec: Extract<CheckSpec, { kind: Kind }>) => Check }

/** One line for each kind; the compiler asks for the missing one. */
const kinds: Kinds = {
  unit: unitCheck,
  http: httpCheck,
  tcp: tcpCheck,
  command: commandCheck,
  local: localCheck,
}

/** A check for one verification. */
export function checkFor(spec: CheckSpec): Check {
  const make = kinds[spec.kind] as (spec: CheckSpec) => Check
  return make(spec)
}
