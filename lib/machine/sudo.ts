/** What sudo says about itself. */
import type { Finished } from './machine.ts'

/**
 * Whether sudo refused (a password is required, not in the sudoers file, not installed setuid) rather than the command failed.
 * sudo then exits 1 and starts its message with its own name, in every language (sudo(8), EXIT VALUE).
 */
export function sudoRefused(finished: Finished): boolean {
  return finished.code === 1 && /(^|\n)sudo: /.test(finished.stderr)
}
