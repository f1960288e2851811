/**
 * A machine's disk: one file with a real ext4 file system, so that it can be full, can be copied, and loses what was not
 * synced when the power is cut. Its root is a layer over the image; its /nix is its own.
 */

import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { chmod, chown, cp, mkdir, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ensureImage, imageDirectory } from './images.mjs'
import { controlKey, harnessKey, hostKey, knownHosts, publicKey, signingKey } from './keys.mjs'
import { address, hasNix, hostsFile, isVirtual, machine } from './machines.mjs'
import { machinePaths } from './paths.mjs'
import { attempt, run, until } from './run.mjs'
import { makePartitions, rootSize } from './virtual-disk.mjs'
import { hardware } from './virtual-hardware.mjs'

/** @param {string} name */
export const hasDisk = (name) => existsSync(machinePaths(name).image)

/** Writes down which image the disk is a layer over: over another one it would be nonsense. @param {string} name */
export const noteImage = (name) => writeFileSync(machinePaths(name).lower, imageDirectory(machine(name).image))

/** Whether the machine's image is another one by now. @param {string} name */
export function isOutdated(name) {
  const { lower } = machinePaths(name)
  return !existsSync(lower) || readFileSync(lower, 'utf8') !== imageDirectory(machine(name).image)
}

/** Makes a disk with plain Debian on it. @param {string} name */
export async function createDisk(name) {
  const { diskSize, image } = machine(name)
  const paths = machinePaths(name)
  await ensureImage(image)
  mkdirSync(paths.directory, { recursive: true })
  await writeFile(paths.image, '')
  await run(['truncate', '--size', String(diskSize), paths.image])
  const quickly = 'lazy_itable_init=1,lazy_journal_init=1,nodiscard'
  const makeFileSystem = ['mke2fs', '-q', '-F', '-t', 'ext4', '-b', '4096', '-m', '0', '-J', 'size=32']
  if (isVirtual(name)) {
    await makePartitions(name)
    const blocks = rootSize(name) / 4096
    const offset = hardware(name).rootStart
    await run([...makeFileSystem, '-E', `${quickly},offset=${offset}`, paths.image, String(blocks)])
  } else await run([...makeFileSystem, '-E', quickly, paths.image])
  noteImage(name)
  try {
    await mountDisk(name)
    if (isVirtual(name)) await run(['cp', '--archive', `${imageDirectory(image)}/.`, paths.root])
    await personalise(name)
    await unmountDisk(name)
  } catch (error) {
    await unmountDisk(name)
    await rm(paths.image)
    throw error
  }
}

/** Mounts the disk at `disk` and the machine's root at `root`. @param {string} name */
export async function mountDisk(name) {
  const paths = machinePaths(name)
  const lower = readFileSync(paths.lower, 'utf8')
  await unmountDisk(name)
  if (isVirtual(name)) {
    mkdirSync(paths.disk, { recursive: true })
    const where = `offset=${hardware(name).rootStart},sizelimit=${rootSize(name)}`
    await run(['mount', '-t', 'ext4', '-o', `loop,noinit_itable,${where}`, paths.image, paths.disk])
    return
  }
  for (const directory of [paths.disk, paths.root]) mkdirSync(directory, { recursive: true })
  // no thread may write to the disk behind our back
  await run(['mount', '-t', 'ext4', '-o', 'loop,noinit_itable', paths.image, paths.disk])
  const layers = ['upper', 'work', 'nix'].map((layer) => join(paths.disk, layer))
  for (const layer of layers) mkdirSync(layer, { recursive: true })
  await run([
    ...['mount', '-t', 'overlay', 'overlay', '-o'],
    `lowerdir=${lower},upperdir=${layers[0]},workdir=${layers[1]}`,
    paths.root,
  ])
}

/** Returns when nothing uses the disk any more. @param {string} name */
export async function unmountDisk(name) {
  const { root, disk, image } = machinePaths(name)
  for (const directory of [root, disk]) {
    const mounted = await attempt(['mountpoint', '-q', directory])
    if (mounted.code === 0) await run(['umount', directory])
  }
  // the namespaces of processes just killed keep it mounted for a moment, and a new mount would get the same old one
  const inUse = async () => existsSync(image) && (await run(['losetup', '--associated', image])) !== ''
  await until(async () => !(await inUse()), { seconds: 20, otherwise: `the disk of ${name} is still in use` })
}

/**
 * Takes the power from the disk: what was not synced is gone, and everything fails from here on until it is mounted again.
 * (The ioctl is ext4's EXT4_IOC_SHUTDOWN without flushing the journal.)
 * @param {string} directory where it is mounted
 */
export async function cutDisk(directory) {
  const script = 'sysopen(D, $ARGV[0], 0) or die $!; ioctl(D, 0x8004587d, my $mode = pack("L", 2)) or die $!'
  await run(['perl', '-e', script, directory])
}

/** Copies the disk of a machine without power to a file, or back. @param {string} from @param {string} to */
export async function copyImage(from, to) {
  mkdirSync(dirname(to), { recursive: true })
  await run(['cp', '--sparse=always', '--reflink=auto', from, `${to}.partial`])
  renameSync(`${to}.partial`, to)
}

const standIn = fileURLToPath(new URL('stand-in', import.meta.url))

/** What tells this machine from the others made of the same image. @param {string} name */
async function personalise(name) {
  const { root, nix } = machinePaths(name)
  const { role, user } = machine(name)
  const keyFile = join(root, 'etc/ssh/ssh_host_ed25519_key')
  await writeFile(join(root, 'etc/hostname'), `${name}\n`)
  await writeFile(join(root, 'etc/hosts'), hostsFile(name))
  await writeFile(join(root, 'etc/lab-address'), `${address(name)}/24\n`)
  await writeFile(keyFile, readFileSync(hostKey(name)), { mode: 0o600 })
  await writeFile(`${keyFile}.pub`, `${publicKey(hostKey(name))}\n`)
  if (hasNix(name)) await makeStore(root, nix)
  if (role === 'stand-in') await cp(standIn, join(root, 'usr/local/lib/nixbuild-stand-in'), { recursive: true })

  const script = readFileSync(fileURLToPath(new URL(`roles/${role}.sh`, import.meta.url)))
  await inRoot(root, script, {
    USER_NAME: user,
    ...(role === 'control'
      ? {
          CONTROL_KEY: readFileSync(controlKey, 'utf8').trim(),
          CONTROL_PUBLIC_KEY: publicKey(controlKey),
          KNOWN_HOSTS: knownHosts().trim(),
        }
      : {}),
    ...(role === 'stand-in'
      ? {
          REGISTERED_KEY: publicKey(controlKey),
          SIGNING_KEY: signingKey().secret,
          SIGNING_PUBLIC_KEY: signingKey().public,
        }
      : {}),
  })
  const isForControl = role === 'host' || role === 'builder'
  const authorized = [publicKey(harnessKey), ...(isForControl ? [publicKey(controlKey)] : [])]
  const authorize = `
    home=$(getent passwd "$USER_NAME" | cut -d: -f6)
    install -d -m 700 "$home/.ssh"
    printf '%s\\n' "$AUTHORIZED_KEYS" > "$home/.ssh/authorized_keys"
    chown -R "$USER_NAME:" "$home/.ssh"
  `
  await inRoot(root, authorize, { USER_NAME: user, AUTHORIZED_KEYS: authorized.join('\n') })
  if (!isVirtual(name)) return
  // it has no side door
  await inRoot(root, authorize, { USER_NAME: 'root', AUTHORIZED_KEYS: publicKey(harnessKey) })
  // what systemd does at a first boot takes an emulated machine a quarter of a minute
  await inRoot(root, 'touch /etc/.updated /var/.updated', {})
}

/** @param {string} root @param {string | Buffer} script @param {Record<string, string>} variables */
async function inRoot(root, script, variables) {
  const path = 'PATH=/usr/sbin:/usr/bin:/sbin:/bin'
  const environment = Object.entries(variables).map(([variable, value]) => `${variable}=${value}`)
  await run(['env', '-i', path, ...environment, 'chroot', root, 'sh', '-eu', '-s'], { input: script })
}

/** An empty store, owned as Nix owns it: it is mounted read-only before Nix could make it itself. @param {string} root @param {string} nix */
async function makeStore(root, nix) {
  const group = /^nixbld:[^:]*:(\d+)/m.exec(readFileSync(join(root, 'etc/group'), 'utf8'))
  const store = join(nix, 'store')
  await mkdir(store, { recursive: true })
  await chown(store, 0, Number(group?.[1] ?? 0))
  await chmod(store, 0o1775)
}
