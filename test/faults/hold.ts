/**
 * Holding a deployment exactly at a point, without a change to the program: the host program takes its tools from the
 * running system's sw/bin, and there the ones that mark a step are wrapped. A wrapped tool that comes to a point waits as
 * long as a file in /hold says so, which outlives a reboot.
 */
import * as lab from '../lab/lab.mjs'
import type { Stage } from '../scenarios/stage.ts'

export interface Point {
  readonly machine: 'dave' | 'forge'
  readonly name: string
  /** for the point `copy`: text of the stream, or a number of bytes of it */
  readonly content?: string
}

/** `hold POINT`: whoever comes first waits; `@` stands for the deployment's state. At most three minutes. */
export const hold = `
state=$(/usr/bin/cat /run/deploy/[0-9]*/state 2>/dev/null | /usr/bin/cut -d' ' -f1)
point=/hold/$(echo "$1" | /usr/bin/sed "s/@/\${state:-none}/")
[ -e "$point" ] && /usr/bin/mv "$point" "$point.reached" 2>/dev/null || exit 0
turn=0
while [ -e "$point.reached" ] && [ $turn -lt 3600 ]; do /usr/bin/sleep 0.05; turn=$((turn + 1)); done
`

const lastWord = 'for last; do :; done'

/** Programs of the host's sw/bin, in place of Debian's. */
const programs = {
  hold,
  // probe asks it
  uname: 'hold preflight\nexec /usr/bin/uname "$@"',
  // every state, and the end of every switch, is moved into place
  mv: `${lastWord}
case $last in */deploy/*/switch-exit) hold switched-@ ;; esac
/usr/bin/mv "$@"
code=$?
case $last in
  */deploy/*/state) hold state-@ ;;
  /nix/var/nix/profiles/system) hold profile-put-back ;;
esac
exit $code`,
  // without its state a deployment is over
  rm: `${lastWord}
/usr/bin/rm "$@"
code=$?
case $last in /run/deploy/*/state) hold gone ;; esac
exit $code`,
  // the lock and the verdict are links
  ln: `${lastWord}
/usr/bin/ln "$@"
code=$?
case $last in
  /run/deploy/lock) hold lock ;;
  */deploy/*/verdict) hold "verdict-$(/usr/bin/cut -d' ' -f1 "$last")" ;;
esac
exit $code`,
  sync: `case "$*" in
  '-f /nix/var/nix/profiles') hold sync-profiles ;;
  '-f /var/lib/deploy') hold sync-history ;;
esac
exec /usr/bin/sync "$@"`,
}

/**
 * The knobs that make a system holdable: both systems of a deployment need them. Every system restarts the unit `held`,
 * stopped before the activation script and started after it.
 */
export const holdable = (number: number) => ({
  motd: `system ${number}`,
  programs,
  activationScripts: {
    hold: {
      deps: ['etc'],
      text: 'PATH=/run/current-system/sw/bin:$PATH; command -v hold > /dev/null && hold activation-@',
    },
  },
  services: {
    held: { type: 'oneshot', remainAfterExit: true, script: `: ${number}; /run/current-system/sw/bin/hold units-@` },
  },
  whileBuilding: '[ ! -x /usr/local/bin/hold ] || /usr/local/bin/hold build',
})

/** Runs `nix-daemon --stdio`, whose input can be held at a point and damaged from there on. */
const daemon = String.raw`#!/usr/bin/perl
use strict;
use POSIX ':sys_wait_h';
my $wanted = '';
if (open my $point, '<', '/hold/copy') { $wanted = <$point> // ''; chomp $wanted }
exec '/usr/bin/nix-daemon', @ARGV if $wanted eq '';
pipe my $out, my $in;
my $daemon = fork;
if (!$daemon) { close $in; open STDIN, '<&', $out; exec '/usr/bin/nix-daemon', @ARGV }
close $out;
$SIG{PIPE} = 'IGNORE';
$SIG{CHLD} = sub { exit $? >> 8 if waitpid($daemon, WNOHANG) == $daemon };
my ($seen, $tail) = (0, '');
while (sysread STDIN, my $piece, 65536) {
    $seen += length $piece;
    my $text = $tail . $piece;
    $tail = substr $text, -64;
    my $found = $wanted =~ /^\d+$/ ? $seen >= $wanted : index($text, $wanted) >= 0;
    if ($wanted ne '' && $found) {
        $wanted = '';
        system '/run/current-system/sw/bin/hold', 'copy';
        last if unlink '/run/damage-truncate';
        my $middle = int(length($piece) / 2);
        substr($piece, $middle, 1) = chr(ord(substr $piece, $middle, 1) ^ 1) if unlink '/run/damage-corrupt';
    }
    for (my $done = 0; $done < length $piece;) { $done += syswrite($in, $piece, length($piece) - $done, $done) // last }
}
close $in;
waitpid $daemon, 0;
`

const nix = `#!/bin/sh
case " $* " in *' eval '*) /usr/local/bin/hold evaluate ;; esac
exec /usr/bin/nix "$@"
`

/** What can't come from the configuration of the host: once for every disk. */
export async function prepareMachines(stage: Stage): Promise<void> {
  const put = (machine: string, name: string, text: string) =>
    lab.inside(machine, `cat > /usr/local/bin/${name} && chmod 755 /usr/local/bin/${name}`, { input: text })
  await put('dave', 'nix-daemon', daemon)
  await put('forge', 'hold', `#!/bin/sh\n${hold}`)
  await put('forge', 'nix', nix)
  await stage.inside('dave', 'sync')
}

const directory = 'mkdir -p /hold; chmod 777 /hold'

/** The next one who comes there is held. */
export async function arm({ machine, name, content = '' }: Point): Promise<void> {
  await lab.inside(machine, `${directory}; cat > /hold/${name}; chmod 666 /hold/${name}`, { input: content })
}

/**
 * Until somebody is held there; the machine may reboot meanwhile. Asked in short questions: whoever is inside while it shuts
 * down is stopped by systemd-shutdown, nsenter with it, and then the machine never ends.
 */
export async function held({ machine, name }: Point): Promise<void> {
  for (let turn = 0; turn < 900; turn++) {
    const question = ['test', '-e', `/hold/${name}.reached`]
    const { code } = await lab.inside(machine, question, { timeout: 5000 }).catch(() => ({ code: 1 }))
    if (code === 0) return
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  throw new Error(`nobody came to ${name} on ${machine}`)
}

/** Lets go of whoever is held, and of who would be. */
export async function release({ machine }: Point): Promise<void> {
  if (lab.isOn(machine)) await lab.inside(machine, 'rm -f /hold/*')
}
