/**
 * The lab for tests. A scenario asks for its machines with `up` or `fresh`, does something to them, and looks at them
 * from outside. Machines are named as in `machines.mjs`: forge, dave, control, workstation, erin, frank, grace, pi, otto, standin.
 */

export interface Machine {
  readonly role: 'builder' | 'stand-in' | 'host' | 'control'
  /** who logs in when nothing else is said */
  readonly user: string
  /** hard limit, bytes */
  readonly memory: number | undefined
}
export const machines: Readonly<Record<string, Machine>>
export const machineNames: readonly string[]
/** `10.77.0.11` */
export function address(name: string): string
/** `dave.lab` */
export function hostname(name: string): string

// --- power

/**
 * Makes and switches on what isn't there yet, and waits until each can be logged in to. A host gets the first system of
 * the lab's flake on its disk as generation 1; a disk that is there already is booted as it is.
 */
export function up(names: readonly string[], options?: { say?: (line: string) => void }): Promise<void>
/** The same with new disks: about two seconds a machine. */
export function fresh(names: readonly string[]): Promise<void>
/** Shuts down in good order; without names all machines, and removes the network. */
export function down(names?: readonly string[]): Promise<void>
/**
 * Boots the disk as its boot loader says, and waits for ssh; `wait: false` returns at once. Fails when it does not boot.
 * `choose`: the system that somebody picks in the boot menu.
 */
export function powerOn(
  name: string,
  options?: { wait?: boolean; seconds?: number; choose?: string; memory?: number },
): Promise<void>
export function powerOff(name: string): Promise<void>
/** The power fails: no packet leaves any more, all processes die, what was not synced to the disk is lost. */
export function powerCut(name: string): Promise<void>
/** Keeps the disk of a machine that is off, and gives what puts it back. */
export function keepDisk(name: string): Promise<() => Promise<void>>
/** Throws the machine's disk away. */
export function wipe(name: string): Promise<void>
/** Throws all disks and the network away. */
export function wipeAll(): Promise<void>
export function isOn(name: string): boolean
export type Boot =
  | { kind: 'debian' }
  /** its own boot loader doesn't tell: see its console */
  | { kind: 'virtual'; memory: number }
  /** `label`: the boot menu's entry; `init`: /nix/store/...-nixos-system-.../init */
  | { kind: 'nixos'; label: string; init: string; arguments: string[] }
  | { kind: 'dead'; reason: string }
/** What the boot loader of a machine did when it was last switched on or rebooted; nothing when it is off. */
export function bootOf(name: string): Boot | undefined

/** What it printed on its console since it was last switched on. */
export function consoleOf(name: string): string

// --- doing things on a machine

export interface Result {
  /** exit code; 128 + number for a signal */
  code: number
  stdout: string
  stderr: string
}
export interface RunOptions {
  /** standard input, otherwise empty */
  input?: string | Buffer
  /** milliseconds; then it is killed */
  timeout?: number
  env?: Record<string, string>
}
/** A script in the login shell of the machine's user (or of `user`), over the network. Never throws for an exit code. */
export function ssh(name: string, script: string, options?: RunOptions & { user?: string }): Promise<Result>
/** The same as a command to spawn: append `--` and a script. */
export function sshCommand(name: string, options?: { user?: string; terminal?: boolean }): string[]
/**
 * A /bin/sh script, or a program with arguments, as root through the side door: works without sshd and network. A virtual
 * machine has none: there it is root's login.
 */
export function inside(name: string, what: string | string[], options?: RunOptions): Promise<Result>
/** The same as a command to spawn. */
export function insideCommand(name: string, argv: string[]): string[]
/** Makes a command run on the lab's network instead of this computer's, as 10.77.0.1 (`outside.lab`). */
export function onTheNetwork(argv: string[]): string[]
/** The file of a program of 64-bit ARM (static, all of busybox), which every machine can run from now on. */
export function armBusybox(): Promise<string>
/**
 * Puts the lab's flake on a machine as a git repository with one commit, replacing the directory. `hosts`: virtual machines
 * among them get their kernels.
 */
export function putFlake(
  name: string,
  directory: string,
  options?: { user?: string; hosts?: readonly string[] },
): Promise<void>
/** Nix for the user of control, without a daemon, until its disk is thrown away. */
export function putNixOnControl(): Promise<void>
/** test/lab/flake */
export const flakeSource: string

// --- the network

/** Pulls the cable: packets vanish without a word. */
export function linkDown(name: string): Promise<string>
export function linkUp(name: string): Promise<string>
/** Since the machine was switched on. */
export function linkBytes(name: string): Promise<{ toMachine: number; fromMachine: number }>

// --- looking from outside

/** Bytes. `rss`: what processes hold and tmpfs; `cache`: files, dropped by the kernel when `limit` is near. */
export function memory(name: string): { rss: number; cache: number; limit: number | undefined }
/** The highest `rss` until `stop`, in bytes, and that of the start. */
export function watchMemory(name: string, everyMilliseconds?: number): { stop(): { idle: number; peak: number } }
/** Changes the limit of a machine that is on, until it is switched on again. */
export function limitMemory(name: string, bytes: number): void
/** Its processes now, with process ids as outside. */
export function hostProcesses(name: string): { pid: number; argv: string[] }[]
/** The machine's first process, by its id outside. */
export function firstProcess(name: string): number | undefined
/**
 * Every process that ends from now until `stop`, however short it lived: first 15 characters of the program's name, user
 * number, process id inside. What `inside` starts is among them.
 */
export function recordExecutions(
  name: string,
): Promise<{ stop(): Promise<{ command: string; user: number; pid: number }[]> }>
/** Directories that show a machine's / (without /nix) and its /nix while it is on. */
export function filesOf(name: string): { root: string; nix: string }

// --- keys and places

/** Path of the private key that logs in to every machine as its user. */
export const harnessKey: string
/** Path of the private key of the user on control. */
export const controlKey: string
/** Path of a machine's private host key. */
export function hostKey(name: string): string
/** One line. */
export function publicKey(privateKey: string): string
/** Every machine's host key, as lines of a known_hosts file. */
export function knownHosts(): string
/** Directory of the root file system that machines of this image are a layer over; made when it isn't there. */
export function ensureImage(name: string): Promise<string>
export const stateDirectory: string
/** Installs what the lab needs where that is possible. */
export function ensureRequirements(say: (line: string) => void): void
/** One line that says why there can be no lab on this computer. */
export function whyNoLab(): string | undefined
