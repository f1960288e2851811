/**
 * Commands as root where sudo wants a password. It goes to sudo's standard input, and only once sudo has asked for
 * it: sudo that needs none (a rule, a fresh ticket) would leave it to the command as the first line of its input.
 */
import { randomBytes } from 'node:crypto'
import type { Channel } from '../machine/machine.ts'
import { Problem } from '../problem.ts'
import { ErrorOutput } from './error-output.ts'

export interface PasswordSource {
  /** Rejects when nobody can be asked. Called each time that sudo asks, so it should remember. */
  ask(): Promise<string>
  /** It was wrong. */
  forget(): void
}

type Start = (argv: readonly string[]) => Promise<Channel>

/** Resolves when the command itself runs, or has ended because sudo refused. Rejects with a Problem for a wrong password. */
export async function withPassword(
  start: Start,
  argv: readonly string[],
  facts: { name: string; password: PasswordSource },
): Promise<Channel> {
  const prompt = `<${randomBytes(12).toString('hex')}>`
  const begun = `<${randomBytes(12).toString('hex')}>`
  // The shell that sudo starts says on standard error that it got this far, then becomes the command.
  const announce = ['/bin/sh', '-c', 'printf %s "$0" >&2; exec "$@"', begun]
  const channel = await start(['sudo', '-S', '-p', prompt, '--', ...announce, ...argv])
  const errors = new ErrorOutput()
  await new Promise<void>((resolve, reject) => {
    let held = ''
    let asked = false
    let through = false
    const refuse = (problem: unknown) => {
      channel.close()
      reject(problem)
    }
    channel.onErrorOutput((text) => {
      if (through) return errors.push(Buffer.from(text))
      held += text
      if (held.includes(begun)) {
        through = true
        errors.push(Buffer.from(held.replaceAll(prompt, '').replace(begun, '')))
        resolve()
      } else if (held.includes(prompt)) {
        held = held.replace(prompt, '')
        if (asked) {
          facts.password.forget()
          return refuse(wrong(facts.name))
        }
        asked = true
        facts.password.ask().then((password) => channel.stdin.write(`${password}\n`), refuse)
      }
    })
    void channel.exit.then(() => {
      if (!through) errors.push(Buffer.from(held))
      resolve()
    })
  })
  return { ...channel, errorOutput: () => errors.text(), onErrorOutput: (listener) => errors.listen(listener) }
}

function wrong(name: string): Problem {
  return new Problem(`sudo on ${name} did not accept the password`, { host: name })
}
