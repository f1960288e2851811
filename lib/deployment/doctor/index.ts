/** All checks of the doctor, in the order in which a person would mend what they find. One is a file and a line here. */
import { bootFiles } from './checks/boot-files.ts'
import { bootRoom } from './checks/boot-room.ts'
import { buildSystems } from './checks/build-systems.ts'
import { clock } from './checks/clock.ts'
import { knownHosts } from './checks/control/known-hosts.ts'
import { node } from './checks/control/node.ts'
import { places } from './checks/control/places.ts'
import { controlPrograms } from './checks/control/programs.ts'
import { sshAgent } from './checks/control/ssh-agent.ts'
import { sshKeys } from './checks/control/ssh-keys.ts'
import { failedUnits } from './checks/failed-units.ts'
import { fit } from './checks/fit.ts'
import { lock } from './checks/lock.ts'
import { evaluatorVersion, hostVersion } from './checks/nix-version.ts'
import { pendingReboot } from './checks/pending-reboot.ts'
import { programs } from './checks/programs.ts'
import { root } from './checks/root.ts'
import { sourcesRoom } from './checks/sources-room.ts'
import { standing } from './checks/standing.ts'
import { startUpOutput } from './checks/start-up-output.ts'
import { store } from './checks/store.ts'
import { storeRoom } from './checks/store-room.ts'
import { substituters } from './checks/substituters.ts'
import { systemFeatures } from './checks/system-features.ts'
import { upgradeTimer } from './checks/upgrade-timer.ts'
import type { ControlSubject } from './control.ts'
import type { MachineFacts } from './examine.ts'
import type { DoctorCheck } from './finding.ts'
import type { BuilderSubject, HostSubject } from './subject.ts'

const ofMachine = (check: DoctorCheck<MachineFacts>): DoctorCheck<{ readonly facts: MachineFacts }> => ({
  ...check,
  look: ({ facts }) => check.look(facts),
})

export const controlChecks: readonly DoctorCheck<ControlSubject>[] = [
  node,
  controlPrograms,
  sshAgent,
  sshKeys,
  knownHosts,
  places,
]

export const builderChecks: readonly DoctorCheck<BuilderSubject>[] = [
  ofMachine(startUpOutput),
  ofMachine(programs),
  ofMachine(evaluatorVersion),
  ofMachine(store),
  ofMachine(sourcesRoom),
  buildSystems,
  systemFeatures,
  ofMachine(storeRoom('collect garbage there: nix-collect-garbage')),
  // A clock that is wrong makes certificates fail.
  ofMachine(clock),
  ofMachine(substituters({ none: 'none: everything is built there', hint: 'without it, more is built there' })),
]

export const hostChecks: readonly DoctorCheck<HostSubject>[] = [
  ofMachine(startUpOutput),
  root,
  ...fit,
  ofMachine(hostVersion),
  lock,
  bootFiles,
  ofMachine(storeRoom('make room: `deploy clean`')),
  bootRoom,
  ofMachine(clock),
  ofMachine(
    substituters({
      none: 'none: everything is sent',
      hint: 'it is asked before each copy; `copy: { substitute: false }` in hosts.yaml leaves that away',
    }),
  ),
  standing,
  pendingReboot,
  failedUnits,
  upgradeTimer,
]
