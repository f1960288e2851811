/** A deployment that is under way, or what a dead one left. */
import { formatDuration } from '../../../format.ts'
import { bad, careful, type DoctorCheck, good } from '../finding.ts'
import type { HostSubject } from '../subject.ts'

export const lock: DoctorCheck<HostSubject> = {
  about: 'lock',
  asRoot: true,
  look({ host, facts: { state }, now }) {
    if (!state.lock) return good('nobody deploys it')
    const { alive, holder, since, secondsLeft, state: stage } = state.lock
    const age = now.getTime() - Date.parse(since)
    const ago = Number.isNaN(age) ? '' : `, begun ${formatDuration(Math.max(0, age))} ago`
    if (!alive) {
      return careful(
        `a deployment of ${holder} was interrupted (${stage})${ago}`,
        `\`deploy unlock ${host.name}\` finishes it, and so does the next deployment`,
      )
    }
    return {
      ...bad(
        `${holder} is deploying it (${stage})${ago}`,
        secondsLeft === undefined
          ? `wait, or see \`deploy unlock ${host.name}\``
          : `it rolls back by itself in ${secondsLeft} s unless it is confirmed`,
      ),
      kind: 'locked',
    }
  },
}
