/**
 * The cells of the fault matrix (test/faults) that no other scenario covers and that are most likely to break.
 * `npm run faults` runs them all.
 */
import { before, test } from 'tap'
import { freshMachines, runCell } from '../faults/cell.ts'
import { faultNamed } from '../faults/faults.ts'
import { stageNamed } from '../faults/stages.ts'
import type { Stage as Machines } from './stage.ts'

const cells = [
  ['state written', 'markers forged'],
  ['switch: units starting', 'systemd re-executed'],
  ['awaiting confirmation', 'power of the host cut'],
  ['awaiting confirmation', '/run full'],
  ['boot loader written', 'whole disk read-only'],
  ['checks running', 'link silent beyond the window'],
  ['profile set', 'disk full'],
  ['boot loader written', 'power of the host cut'],
  ['back: begins', 'root file system read-only'],
  ['back: units stopped', 'supervisor and guard killed'],
  ['undo: profile put back', 'supervisor killed'],
  ['reboot: state written', 'power of the host cut'],
  ['reboot: shutting down', 'supervisor and guard killed'],
] as const

/** A cell that went wrong leaves none that the next one could trust. */
let machines: Machines | undefined
before(async () => {
  machines = await freshMachines()
})

for (const [stage, fault] of cells) {
  test(`${stage} / ${fault}: the host survives, and the truth is told`, async (t) => {
    const used = machines ?? (await freshMachines())
    machines = undefined
    const { violations, said, usable } = await runCell(used, stageNamed(stage), faultNamed(fault))
    if (usable) machines = used
    t.same(violations, [], said)
  })
}
