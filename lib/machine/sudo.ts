/** What sudo says about itself. */
import type { Finished } from './machine.ts'

/**
 * Whether sudo itself said why nothing was run (a password is required, it isn't setuid). It then exits 1 and begins its message
 * with its own name, in every language (sudo(8), EXIT VALUE). To be told that it knows no rule for us it doesn't say its
 * name: whoever must be sure runs `true` as root, which can fail for no other reason.
 */
export function sudoRefused(finished: Finished): boolean {
  return finished.code === 1 && /(^|\n)sudo: /.test(finished.stderr)
}
