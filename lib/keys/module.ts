/** What belongs into the NixOS configuration, where every account's ssh reads it and no switch undoes it. */
import { nixbuildHost } from '../nix/nixbuild.ts'
import { tokenFile } from './login.ts'
import type { AccountKey, KeyHost } from './state.ts'

interface Service {
  readonly port: number
  /** `ssh-ed25519 AAAA…` */
  readonly hostKey: string
  /** `NAME:BASE64`, where it is known */
  readonly signingKey?: string | undefined
}

const text = (value: string) => `"${value.replaceAll(/["\\]|\$(?=\{)/g, '\\$&')}"`

/** Needs no file to exist yet. `host`: its name in hosts.yaml. */
export function nixosModule(
  host: string,
  { accounts, system, builders }: KeyHost,
  { port, hostKey, signingKey }: Service,
): string {
  const name = port === 22 ? nixbuildHost : `[${nixbuildHost}]:${port}`
  return `# ${host}: keys for nixbuild.net. What is secret stays where \`deploy keys install ${host}\` puts it.
{
  programs.ssh.knownHosts.nixbuild = {
    hostNames = [ ${text(name)} ];
    publicKey = ${text(hostKey)};
  };
  programs.ssh.extraConfig = ''
${accounts.some(({ kind }) => kind === 'token') ? rootsToken(port) : ''}    Host ${nixbuildHost}
${port === 22 ? '' : `      Port ${port}\n`}      IdentityFile ~/.ssh/nixbuild
      IdentityFile ~/.ssh/nixbuild.old
      IdentitiesOnly yes
      ServerAliveInterval 60
      IPQoS throughput
    Match all
  '';
${trusting(signingKey)}${machinesOf({ accounts, system, builders }, hostKey)}}
`
}

/** Users' ssh passes over a file that it can't see. */
const rootsToken = (port: number) => `    Match host ${nixbuildHost} localuser root
${port === 22 ? '' : `      Port ${port}\n`}      User authtoken
      PreferredAuthentications none
      PubkeyAuthentication no
      Include ${tokenFile}
`

const trusting = (key: string | undefined) => `
  # What the account's builds are signed with, for whoever fetches them from nixbuild.net itself; \`deploy\` needs none of it.
  ${key === undefined ? `# It could not be asked: ssh ${nixbuildHost} api settings signing-key-for-builds --show` : `nix.settings.trusted-public-keys = [ ${text(key)} ];`}
`

/** For builds that the host starts itself. */
function machinesOf(
  { accounts, system, builders }: Pick<KeyHost, 'accounts' | 'system' | 'builders'>,
  hostKey: string,
) {
  if (builders.some((builder) => builder.hostKey !== undefined && builder.hostKey !== hostKey)) {
    return `
  # nix.buildMachines has another host key. Left out, the one above counts; or in what is there already:
  #   publicHostKey = ${text(Buffer.from(hostKey).toString('base64'))};
`
  }
  return builders.length > 0 || !usesDaemon(accounts) ? '' : machines(system)
}

const usesDaemon = (accounts: readonly AccountKey[]) => accounts.some(({ account }) => account === 'root')

const machines = (system: string) => `
  # Only for builds that are started on the host itself (\`nixos-rebuild switch --max-jobs 0\`): a host that is
  # deployed to needs none of this.
  nix.distributedBuilds = true;
  nix.settings.builders-use-substitutes = true;
  nix.buildMachines = [
    {
      hostName = ${text(nixbuildHost)};
      system = ${text(system)};
      maxJobs = 100;
      supportedFeatures = [ "benchmark" "big-parallel" ];
    }
  ];
`
