/** A start-up file of the shell that prints something gets in between every conversation with a program. */
import type { MachineFacts } from '../examine.ts'
import { bad, type DoctorCheck } from '../finding.ts'

export const startUpOutput: DoctorCheck<MachineFacts> = {
  about: 'shell',
  look({ startUpOutput }) {
    if (startUpOutput === '') return undefined
    return {
      ...bad(
        'its login shell prints something before any command runs',
        'let its start-up files (.bashrc, .profile, .zshenv) print only in interactive shells',
      ),
      detail: startUpOutput.slice(0, 400),
    }
  },
}
