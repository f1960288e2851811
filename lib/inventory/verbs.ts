/** The verbs of `deploy`. No host may be called like one, or `deploy check` would mean two things. */
export const verbs = [
  'plan',
  'build',
  'check',
  'rollback',
  'status',
  'generations',
  'history',
  'keys',
  'doctor',
  'clean',
  'unlock',
  'log',
  'image',
  'init',
  'completion',
  'help',
] as const
