/** What a user without `deploy` runs on the workstation, as shell scripts. */
import type { Link } from './links.ts'

/** `nix copy` from the builder to the host through this machine. */
export const nixCopy = (link: Link, scheme: 'ssh' | 'ssh-ng', path: string) =>
  `nix copy --no-check-sigs --from ${scheme}://forge-${link.name} --to ${scheme}://dave-${link.name} ${path}`

/** The old way: by this machine's own store, in two steps, compressed by ssh's gzip. */
export const nixCopyClosure = (link: Link, path: string) =>
  `nix-copy-closure --gzip --from forge-${link.name} ${path} && nix-copy-closure --gzip --to dave-${link.name} ${path}`

/**
 * The commands that `nixos-rebuild switch --no-reexec --flake .#dave --target-host T --build-host B --sudo` runs, in their
 * order: nixpkgs, pkgs/by-name/ni/nixos-rebuild-ng/src/nixos_rebuild (services.py as of commit d0abcc7675e8, process.py as of
 * edd5a637b750; nix.py: build_remote_flake, copy_closure, set_profile, switch_to_configuration). Its connections are shared by
 * a ControlMaster of each run and closed at its end. The program itself would add the start of Python.
 */
export const nixosRebuild = (link: Link) => `
B=forge-${link.name} T=dave-${link.name}
D=$(mktemp -d /tmp/nixos-rebuild.XXXXXX)
O="-o ControlMaster=auto -o ControlPath=$D/ssh-%n -o ControlPersist=60"
export NIX_SSHOPTS="$O"
trap 'for c in $D/ssh-*; do ssh -o ControlPath=$c -O exit dummyhost 2> /dev/null || true; done; rm -rf $D' EXIT
flags=(--extra-experimental-features 'nix-command flakes')
drv=$(nix "\${flags[@]}" eval --raw '.#nixosConfigurations."dave".config.system.build.toplevel.drvPath' 2> /dev/null)
nix-copy-closure --to $B $drv 2> /dev/null
top=$(ssh $O $B -- nix --extra-experimental-features "'nix-command flakes'" build "'$drv^*'" --print-out-paths --no-link 2> /dev/null)
nix "\${flags[@]}" copy --from ssh://$B --to ssh://$T $top 2> /dev/null
ssh $O $T -- test -f $top/nixos-version
ssh $O $T -- sudo nix-env -p /nix/var/nix/profiles/system --set $top
ssh $O $T -- test -d /run/systemd/system
ssh $O $T -- sudo env NIXOS_INSTALL_BOOTLOADER=0 systemd-run -E LOCALE_ARCHIVE -E NIXOS_INSTALL_BOOTLOADER --collect --no-ask-password --pipe --quiet --service-type=exec --unit=nixos-rebuild-switch-to-configuration --wait $top/bin/switch-to-configuration switch > /dev/null 2>&1
echo $top
`
