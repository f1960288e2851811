/** All verbs, in the order of help. A new one is one file beside this one and one line here. */
import { build } from './build.ts'
import { check } from './check.ts'
import { clean } from './clean.ts'
import { completionOf } from './completion.ts'
import { deploy } from './deploy.ts'
import { doctor } from './doctor.ts'
import { generations } from './generations.ts'
import { history } from './history.ts'
import { keys } from './keys.ts'
import { log } from './log.ts'
import { plan } from './plan.ts'
import { rollback } from './rollback.ts'
import { status } from './status.ts'
import { unlock } from './unlock.ts'
import type { Verb } from './verb.ts'

export const verbs: readonly Verb[] = [
  deploy,
  plan,
  build,
  check,
  doctor,
  rollback,
  status,
  generations,
  history,
  log,
  unlock,
  clean,
  keys,
  completionOf(() => verbs),
]
