/** The health of a host, in words: one line, and one for each check that isn't healthy (with -v, for each check). */
import type { Checkup } from '../deployment/check.ts'
import { bad, careful, good, type Line, quiet, strong } from '../screen/line.ts'
import type { Room } from './room.ts'

export function checkupLines(name: string, { healthy, checks }: Checkup, { verbose }: Room): Line[] {
  const count = checks.length === 1 ? '1 check' : `${checks.length} checks`
  return [
    healthy
      ? [good('✓'), ` ${name}  healthy`, quiet(`  ${checks.length === 0 ? 'hosts.yaml has no checks for it' : count}`)]
      : [bad('✗'), ` ${name}  `, strong('unhealthy'), quiet(`  ${count}`)],
    ...checks
      .filter(({ reason }) => verbose || reason !== '')
      .map(({ title, reason, severity }): Line => {
        if (reason === '') return ['    ', good('✓'), ` ${title}`]
        return ['    ', severity === 'warn' ? careful('!') : bad('✗'), ` ${title}: ${reason}`]
      }),
  ]
}
