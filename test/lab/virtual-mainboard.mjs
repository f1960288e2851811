/**
 * A virtual machine as long as it has power: a process of its own, as mainboard.mjs is for the others. The firmware, the
 * boot loader, the kernel and what this starts are the machine's own; all of it is emulated. With the network card, a
 * serial line that goes to `console.log`.
 */

import { spawn } from 'node:child_process'
import { renameSync, rmSync, writeFileSync } from 'node:fs'
import { inEmulator } from './emulator.mjs'
import { machine } from './machines.mjs'
import { onTheNetwork, plugInTap, unplug } from './network.mjs'
import { machinePaths } from './paths.mjs'
import { run } from './run.mjs'
import { hardware } from './virtual-hardware.mjs'

const name = process.argv[2] ?? ''
const paths = machinePaths(name)
const mebibyte = 1024 ** 2

try {
  await boot()
} finally {
  await unplug(name)
  rmSync(paths.power, { force: true })
}

/** @returns {Promise<number>} how it ended */
async function boot() {
  const { memory = 1024 * mebibyte } = machine(name)
  const megabytes = Number(process.env.DEPLOY_LAB_MEMORY ?? memory / mebibyte)
  const { qemu: kind, variables } = hardware(name)
  // a chip keeps them, whatever becomes of the disk
  if (variables) await run(inEmulator(name, ['cp', '--update=none', variables, '/mnt/variables.fd']))
  const { device, mac } = await plugInTap(name)
  const qemu = [
    ...[...kind, '-m', String(megabytes), '-smp', '2'],
    ...['-accel', 'tcg,thread=multi', '-nodefaults', '-display', 'none'],
    ...['-chardev', 'file,id=serial,path=/mnt/console.log,append=on', '-serial', 'chardev:serial'],
    ...['-drive', 'file=/mnt/disk.img,format=raw,if=none,id=disk,cache=writeback'],
    ...['-device', 'virtio-blk-pci,drive=disk,bootindex=0'],
    ...['-netdev', `tap,id=net,ifname=${device},script=no,downscript=no`],
    ...['-device', `virtio-net-pci,netdev=net,mac=${mac},romfile=`, '-device', 'virtio-rng-pci'],
  ]
  const [program = '', ...words] = onTheNetwork(inEmulator(name, qemu))
  const child = spawn(program, words, { stdio: ['ignore', 'inherit', 'inherit'] })
  const said = { mainboard: process.pid, qemu: child.pid, boot: { kind: 'virtual', memory: megabytes * mebibyte } }
  writeFileSync(`${paths.power}.new`, JSON.stringify(said))
  renameSync(`${paths.power}.new`, paths.power)
  return new Promise((resolve) => child.on('close', (code) => resolve(code ?? 1)))
}
