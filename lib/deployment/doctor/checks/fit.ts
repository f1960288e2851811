/** What a deployment's preflight would refuse. */
import { requirements } from '../../fitness.ts'
import { badProblem, type DoctorCheck, good } from '../finding.ts'
import type { HostSubject } from '../subject.ts'

/** Told by checks of their own, which know more. */
const toldElsewhere = ['root', 'lock']

const metAs: Readonly<Record<string, (subject: HostSubject) => string>> = {
  system: ({ host }) => host.system,
}

export const fit: readonly DoctorCheck<HostSubject>[] = requirements
  .filter(({ name }) => !toldElsewhere.includes(name))
  .map(({ name, missed }) => ({
    about: name,
    look(subject) {
      const problem = missed(subject.host, subject.facts.state)
      return problem ? badProblem(problem) : good(metAs[name]?.(subject) ?? 'as needed')
    },
  }))
