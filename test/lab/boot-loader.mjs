/** The part of the boot loader: reads what the disk says should be booted, as U-Boot reads extlinux.conf. */

import { closeSync, existsSync, fstatSync, openSync, readFileSync, readSync } from 'node:fs'
import { join, resolve } from 'node:path'

/**
 * A virtual machine has a boot loader of its own, which does not tell.
 * @typedef {{ kind: 'debian' }
 *   | { kind: 'virtual', memory: number }
 *   | { kind: 'nixos', label: string, init: string, arguments: string[] }
 *   | { kind: 'dead', reason: string }} Boot
 */

const directory = '/boot/extlinux'

/** What U-Boot on a Pi 4 looks for there. */
const deviceTree = 'broadcom/bcm2711-rpi-4-b.dtb'

/**
 * What a machine with this root does when it is switched on. Without an extlinux.conf it boots as the Debian it is; with
 * one, the default entry is all that counts: no other is tried, as U-Boot tries no other.
 * @param {string} root
 * @param {string} [chosen] the system of the entry that somebody picks in the boot menu
 * @returns {Boot}
 */
export function readBootLoader(root, chosen) {
  const file = join(root, directory, 'extlinux.conf')
  if (!existsSync(file)) return { kind: 'debian' }
  const configuration = parseExtlinux(readFileSync(file, 'utf8'))
  const picked = [...configuration.entries].find(([, entry]) =>
    entry.get('APPEND')?.includes(`init=${chosen}/init`),
  )?.[0]
  const label = chosen === undefined ? configuration.fallback : picked
  const entry = configuration.entries.get(label ?? '')
  if (entry === undefined) return dead(`extlinux.conf has no entry ${label ?? chosen ?? 'by default'}`)
  const lastLines = { LINUX: 'end of kernel', INITRD: 'end of initrd', FDTDIR: 'end of device tree' }
  for (const [field, lastLine] of Object.entries(lastLines)) {
    const named = entry.get(field)
    if (named === undefined && field === 'FDTDIR') continue
    if (named === undefined) return dead(`the entry has no ${field}`)
    const path = field === 'FDTDIR' ? join(named, deviceTree) : named
    const found = wholeFile(join(root, resolve(directory, path)), lastLine)
    if (found !== undefined) return dead(`${field} ${path}: ${found}`)
  }
  const append = (entry.get('APPEND') ?? '').split(/\s+/).filter(Boolean)
  const init = append.find((word) => word.startsWith('init='))?.slice('init='.length)
  if (init === undefined) return dead('the entry has no init=')
  return {
    kind: 'nixos',
    label: label ?? '',
    init,
    arguments: append.filter((word) => !word.startsWith('init=')),
  }
}

/** @param {string} reason @returns {Boot} */
const dead = (reason) => ({ kind: 'dead', reason })

/**
 * @param {string} text
 * @returns {{ fallback: string | undefined, entries: Map<string, Map<string, string>> }}
 */
export function parseExtlinux(text) {
  /** @type {Map<string, Map<string, string>>} */
  const entries = new Map()
  /** @type {Map<string, string> | undefined} */
  let entry
  let fallback
  for (const line of text.split('\n')) {
    const [, key, value] = /^\s*(\w+)\s+(.*?)\s*$/.exec(line) ?? []
    if (key === undefined || value === undefined) continue
    if (key.toUpperCase() === 'DEFAULT') fallback = value
    else if (key.toUpperCase() === 'LABEL') {
      entry = new Map()
      entries.set(value, entry)
    } else entry?.set(key.toUpperCase() === 'KERNEL' ? 'LINUX' : key.toUpperCase(), value)
  }
  return { fallback, entries }
}

/** The lab's kernels and initrds end in a known line, so that a short one can be told. @param {string} path @param {string} lastLine */
function wholeFile(path, lastLine) {
  if (!existsSync(path)) return 'no such file'
  const file = openSync(path, 'r')
  try {
    const { size } = fstatSync(file)
    const expected = `${lastLine}\n`
    const end = Buffer.alloc(Math.min(size, expected.length))
    readSync(file, end, 0, end.length, size - end.length)
    return end.toString() === expected ? undefined : `short, ${size} bytes`
  } finally {
    closeSync(file)
  }
}
