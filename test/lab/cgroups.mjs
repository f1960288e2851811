/** One cgroup a machine, apart from all others: its memory limit, its memory, its processes. */

import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { machine } from './machines.mjs'
import { labName } from './paths.mjs'

const mountPoint = '/sys/fs/cgroup'
/** cgroup v2 only; else the controllers are v1, with an empty v2 hierarchy beside them that systemd in a machine gets to see */
const unified = existsSync(join(mountPoint, 'cgroup.controllers'))

/** Where the machine's memory is counted and limited. @param {string} name */
const memoryGroup = (name) => join(mountPoint, unified ? '' : 'memory', labName, name)

/**
 * The groups a machine's first process has to be put in. Without one of its own in *each* hierarchy, the systemd of one
 * machine would act on the processes of another.
 * @param {string} name
 */
function groups(name) {
  if (unified) return [memoryGroup(name)]
  const others = ['unified', 'systemd'].filter((hierarchy) => existsSync(join(mountPoint, hierarchy)))
  return [memoryGroup(name), ...others.map((hierarchy) => join(mountPoint, hierarchy, `${labName}-${name}`))]
}

/** Makes them and sets the limit. @param {string} name @returns {string[]} files to write a process id to */
export function makeGroups(name) {
  for (const group of groups(name)) mkdirSync(group, { recursive: true })
  const { memory } = machine(name)
  if (unified) for (const parent of [mountPoint, join(mountPoint, labName)]) allowLimits(parent)
  if (memory !== undefined) limitMemory(name, memory)
  return groups(name).map((group) => join(group, 'cgroup.procs'))
}

/** @param {string} group */
function allowLimits(group) {
  try {
    writeFileSync(join(group, 'cgroup.subtree_control'), '+memory')
  } catch {
    // inside somebody's container: then there is no limit, and the test of it fails
  }
}

/** @param {string} name @param {number} bytes */
export function limitMemory(name, bytes) {
  const file = (/** @type {string} */ each) => join(memoryGroup(name), each)
  const set = (/** @type {string} */ each, /** @type {number} */ value) => {
    // a kernel without swap accounting lacks some
    if (existsSync(file(each))) writeFileSync(file(each), String(value))
  }
  if (unified) {
    set('memory.swap.max', 0)
    return set('memory.max', bytes)
  }
  // memory may never be more than memory and swap together: which one is changed first depends on the direction
  const limits = ['memory.limit_in_bytes', 'memory.memsw.limit_in_bytes']
  const raised = bytes > Number(readFileSync(file('memory.limit_in_bytes'), 'utf8'))
  for (const each of raised ? limits.reverse() : limits) set(each, bytes)
}

/**
 * The memory of a machine in bytes: `rss` is what its processes hold and what lies in its tmpfs, `cache` is its other
 * files, which the kernel drops when `limit` is near.
 * @param {string} name @returns {{ rss: number, cache: number, limit: number | undefined }}
 */
export function memory(name) {
  const group = memoryGroup(name)
  const fields = new Map(
    readFileSync(join(group, 'memory.stat'), 'utf8')
      .split('\n')
      .map((line) => /** @type {[string, string]} */ (line.split(' '))),
  )
  const bytes = (/** @type {string} */ field) => Number(fields.get(unified ? field : `total_${field}`))
  const shmem = bytes('shmem')
  const limit = readFileSync(join(group, unified ? 'memory.max' : 'memory.limit_in_bytes'), 'utf8').trim()
  return {
    rss: bytes(unified ? 'anon' : 'rss') + shmem,
    cache: bytes(unified ? 'file' : 'cache') - shmem,
    limit: limit === 'max' || Number(limit) > 2 ** 60 ? undefined : Number(limit),
  }
}

/**
 * The highest `rss` from now until `stop` is called.
 * @param {string} name @param {number} [everyMilliseconds]
 */
export function watchMemory(name, everyMilliseconds = 20) {
  const idle = memory(name).rss
  let peak = idle
  const look = () => {
    try {
      peak = Math.max(peak, memory(name).rss)
    } catch {
      // switched off meanwhile
    }
  }
  const timer = setInterval(look, everyMilliseconds)
  return {
    stop() {
      clearInterval(timer)
      look()
      return { idle, peak }
    },
  }
}

/** The processes of a machine, whatever it thinks of them itself. @param {string} name @returns {{ pid: number, argv: string[] }[]} */
export function hostProcesses(name) {
  const pids = processIds(memoryGroup(name))
  const found = []
  for (const pid of pids) {
    try {
      const line = readFileSync(`/proc/${pid}/cmdline`, 'utf8')
      if (line !== '') found.push({ pid, argv: line.replace(/\0$/, '').split('\0') })
    } catch {
      // it has ended
    }
  }
  return found
}

/** @param {string} group @returns {number[]} in it and below it */
function processIds(group) {
  if (!existsSync(group)) return []
  const own = readFileSync(join(group, 'cgroup.procs'), 'utf8').split('\n').filter(Boolean).map(Number)
  const below = readdirSync(group, { withFileTypes: true }).filter((entry) => entry.isDirectory())
  return [...own, ...below.flatMap((entry) => processIds(join(group, entry.name)))]
}

/** Removes them, when no process is left in them. @param {string} name */
export function removeGroups(name) {
  for (const group of groups(name)) removeTree(group)
}

/** @param {string} group */
function removeTree(group) {
  if (!existsSync(group)) return
  for (const entry of readdirSync(group, { withFileTypes: true })) {
    if (entry.isDirectory()) removeTree(join(group, entry.name))
  }
  try {
    rmdirSync(group)
  } catch {
    // busy: used again by the next power-on
  }
}
