/** Makes a machine's disk: a program of its own, since no other process may see it mounted. `prepare.mjs NAME [TOPLEVEL]` */

import { createDisk } from './disk.mjs'
import { flash } from './flash.mjs'
import { machine } from './machines.mjs'

const [name = '', toplevel] = process.argv.slice(2)
try {
  await (machine(name).role === 'host' ? flash(name, toplevel) : createDisk(name))
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : error}\n`)
  process.exitCode = 1
}
