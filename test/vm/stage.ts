/** The stage for tests on the virtual machines: all of their hardware is emulated. */
import * as lab from '../lab/lab.mjs'
import { type Stage, setStage } from '../scenarios/stage.ts'

/** An emulated login takes seconds, and minutes go by on a computer that has other things to do. */
const activation = { timeout: '300s', confirmWithin: '240s', settle: '1s' }

/** `pi`: 64-bit ARM, 1 GB, U-Boot, an SD card's image. `otto`: a PC, 1 GB, UEFI, systemd-boot. */
export type VirtualMachine = 'pi' | 'otto'

const systems = { pi: 'aarch64-linux', otto: 'x86_64-linux' }

export async function setVirtualStage(machine: VirtualMachine): Promise<Stage> {
  const stage = await setStage({ hosts: [machine], defaults: { activation } })
  await stage.describeHost(machine, { system: systems[machine] })
  return stage
}

/** The power fails and comes back. */
export async function powerCycle(machine: VirtualMachine): Promise<void> {
  await lab.powerCut(machine)
  await lab.powerOn(machine)
}

/** What it printed since it was last switched on, by its lines. */
export function consoleLines(machine: VirtualMachine): string[] {
  const text = lab.consoleOf(machine).replaceAll(/\p{Cc}\[[0-9;?]*[A-Za-z]|\r/gu, '')
  return text.split('\n')
}

/** Until it has printed that; says what stands there. */
export async function printed(machine: VirtualMachine, pattern: RegExp, seconds = 300): Promise<string> {
  for (let turn = 0; turn < seconds * 5; turn++) {
    const found = consoleLines(machine).find((line) => pattern.test(line))
    if (found !== undefined) return found
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
  throw new Error(
    `${machine} did not print ${pattern} within ${seconds} s:\n${consoleLines(machine).slice(-20).join('\n')}`,
  )
}

const meminfo = (text: string, key: string) => Number(new RegExp(`^${key}:\\s+(\\d+)`, 'm').exec(text)?.[1]) * 1024

/** From now until `stop`, the most memory that the machine had in use at once, in bytes; what it had in use at the start. */
export async function watchMemory(
  stage: Stage,
): Promise<{ stop(): Promise<{ idle: number; peak: number; total: number }> }> {
  const used = (text: string) => meminfo(text, 'MemTotal') - meminfo(text, 'MemAvailable')
  const start = await stage.inside('pi', 'cat /proc/meminfo')
  // awk reads it a few times a second, and writes down the least that was ever available
  const watch = `awk 'BEGIN {
    least = 1e12
    for (;;) {
      while ((getline line < "/proc/meminfo") > 0) if (line ~ /^MemAvailable/) { split(line, f, " "); now = f[2] }
      close("/proc/meminfo")
      if (now < least) { least = now; print least > "/run/lab-least"; close("/run/lab-least") }
      system("sleep 0.3")
    }
  }'`
  await stage.inside(
    'pi',
    `systemd-run --quiet --collect --unit=lab-memory --property=OOMScoreAdjust=-1000 -- ${watch}`,
  )
  return {
    async stop() {
      const least = Number(await stage.inside('pi', 'cat /run/lab-least; systemctl stop lab-memory')) * 1024
      const total = meminfo(start, 'MemTotal')
      return { idle: used(start), peak: total - least, total }
    },
  }
}

export const megabytes = (bytes: number) => `${Math.round(bytes / 1024 ** 2)} MB`
