/** The stories of `deploy keys`. */
export { installKeys } from './install.ts'
export { serviceOf, signingKeyOf } from './place.ts'
export { keysCountAs, keysOf, lookAtDaemonsToo, lookAtKeys } from './report.ts'
export { revokeKeys } from './revoke.ts'
export { rotateKeys } from './rotate.ts'
export { verifyKeys } from './verify.ts'
