/** Ctrl-C, and the signals that ask a program to end. */
import { Problem } from '../problem.ts'

export interface Interrupts {
  /** Aborted by the first Ctrl-C, by SIGTERM and by SIGHUP. */
  readonly signal: AbortSignal
  /** Aborted by the second Ctrl-C. */
  readonly giveUp: AbortSignal
  /** Signals do again what they do by default. */
  release(): void
}

/** Ctrl-C for the third time ends the program at once. */
export function listenForInterrupts(say: (text: string) => void): Interrupts {
  const stop = new AbortController()
  const giveUp = new AbortController()
  let presses = 0
  const tell = (text: string) => {
    if (!stop.signal.aborted) say(text)
    stop.abort(new Problem('interrupted', { kind: 'interrupted' }))
  }
  const listeners: Partial<Record<NodeJS.Signals, () => void>> = {
    SIGINT() {
      presses++
      if (presses >= 3) process.exit(130)
      if (stop.signal.aborted) {
        presses = Math.max(presses, 2)
        if (!giveUp.signal.aborted) say('not waiting any longer (press again to leave at once)')
        giveUp.abort(new Problem('given up', { kind: 'interrupted' }))
      } else tell('stopping: hosts are left safe (press again to stop waiting)')
    },
    // systemd may send both, and more than once: that says nothing about how long anybody wants to wait.
    SIGTERM: () => tell('stopping: hosts are left safe'),
    SIGHUP: () => tell('stopping: hosts are left safe'),
  }
  for (const [name, listener] of Object.entries(listeners)) process.on(name, listener)
  return {
    signal: stop.signal,
    giveUp: giveUp.signal,
    release() {
      for (const [name, listener] of Object.entries(listeners)) process.off(name, listener)
    },
  }
}
