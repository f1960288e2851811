/** The machines of the lab: what each is for, where it is on the network, what it is made of. */

const gibibyte = 1024 ** 3

/**
 * @typedef {object} Machine
 * @property {'builder' | 'stand-in' | 'host' | 'control'} role
 * @property {number} number      last part of its address
 * @property {string} image       see images.mjs
 * @property {string} user        who logs in when nothing else is said
 * @property {number} diskSize    bytes
 * @property {number | undefined} memory  hard limit in bytes
 * @property {true} [ownNix]      a control machine that has Nix, for what a user without `deploy` would run there
 * @property {string} [alias]     a name that it has besides its own
 * @property {'u-boot' | 'uefi'} [firmware]  of a virtual machine with a kernel of its own: see virtual-hardware.mjs
 */

/** @type {Record<string, Machine>} */
export const machines = {
  control: { role: 'control', number: 2, image: 'control', user: 'ops', diskSize: 8 * gibibyte, memory: undefined },
  workstation: {
    role: 'control',
    number: 5,
    image: 'workstation',
    user: 'ops',
    diskSize: 16 * gibibyte,
    memory: undefined,
    ownNix: true,
  },
  forge: { role: 'builder', number: 3, image: 'trixie', user: 'builder', diskSize: 16 * gibibyte, memory: undefined },
  standin: {
    role: 'stand-in',
    number: 4,
    image: 'trixie',
    user: 'keeper',
    diskSize: 8 * gibibyte,
    memory: undefined,
    alias: 'eu.nixbuild.net',
  },
  dave: { role: 'host', number: 11, image: 'trixie', user: 'my_username', diskSize: 4 * gibibyte, memory: gibibyte },
  erin: { role: 'host', number: 12, image: 'trixie', user: 'my_username', diskSize: 4 * gibibyte, memory: gibibyte },
  frank: { role: 'host', number: 13, image: 'forky', user: 'my_username', diskSize: 4 * gibibyte, memory: gibibyte },
  grace: { role: 'host', number: 14, image: 'bookworm', user: 'my_username', diskSize: 4 * gibibyte, memory: gibibyte },
  pi: {
    role: 'host',
    number: 21,
    image: 'pi',
    user: 'my_username',
    diskSize: 3 * gibibyte,
    memory: gibibyte,
    firmware: 'u-boot',
  },
  otto: {
    role: 'host',
    number: 22,
    image: 'otto',
    user: 'my_username',
    diskSize: 4 * gibibyte,
    memory: gibibyte,
    firmware: 'uefi',
  },
}

export const machineNames = Object.keys(machines)

/** @param {string} name @returns {Machine} */
export function machine(name) {
  const found = machines[name]
  if (found === undefined) throw new Error(`the lab has no machine ${name}: it has ${machineNames.join(', ')}`)
  return found
}

/** @param {string} name */
export const isVirtual = (name) => machine(name).firmware !== undefined

/** Whether it has a Nix store of its own. @param {string} name */
export const hasNix = (name) => machine(name).role !== 'control' || machine(name).ownNix === true

/** The address of a machine on the lab's network. @param {string} name */
export const address = (name) => `10.77.0.${machine(name).number}`

/** The name that every machine of the lab finds it by. @param {string} name */
export const hostname = (name) => `${name}.lab`

/** What /etc/hosts says in all of them. @param {string} self */
export function hostsFile(self) {
  const lines = machineNames.map((name) => `${address(name)} ${hostname(name)} ${machine(name).alias ?? ''}`.trimEnd())
  return ['127.0.0.1 localhost', `127.0.1.1 ${self}`, '::1 localhost', '10.77.0.1 outside.lab', ...lines, ''].join('\n')
}
