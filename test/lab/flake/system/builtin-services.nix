# The services that every host has: what keeps it reachable comes from its own configuration, and can so be lost by it.
{ config, shell }:
let
  optional = condition: set: if condition then set else { };
  web = config.web;
in
optional config.sshd.enable
  {
    sshd = {
      description = "SSH daemon";
      wantedBy = [ "multi-user.target" ];
      wants = [ "network.target" ];
      after = [ "network.target" ];
      type = "notify";
      preStart = "mkdir -p -m 755 /run/sshd";
      execStart = "/usr/sbin/sshd -D -f /etc/ssh/sshd_config";
      restart = "always";
      stopIfChanged = false;
      restartTriggers = [ (builtins.toJSON config.sshd.settings) ];
      # sessions, and the switch that runs in one, outlive the daemon
      serviceConfig = { KillMode = "process"; };
    };
  }
// optional config.network.enable
  {
    network-addresses-host0 = {
      description = "Address of host0";
      wantedBy = [ "multi-user.target" "network.target" ];
      before = [ "network.target" ];
      type = "oneshot";
      remainAfterExit = true;
      stopIfChanged = false;
      unitConfig = { DefaultDependencies = false; ConditionPathExists = "/etc/lab-address"; };
      # /etc/lab-address: words; the first is the address with its prefix length, a second the gateway
      script = ''
        read -r address gateway < /etc/lab-address || :
        /sbin/ip link set lo up
        /sbin/ip link set host0 up
        /sbin/ip address replace "$address" dev host0
        [ -z "$gateway" ] || /sbin/ip route replace default via "$gateway"
      '';
      preStop = ''
        read -r address gateway < /etc/lab-address || :
        /sbin/ip address del "$address" dev host0 || :
      '';
    };
  }
// optional web.enable
  {
    web = {
      description = "A web server with a settable health";
      wantedBy = [ "multi-user.target" ];
      after = [ "network.target" ];
      execStart = "/usr/bin/perl ${../services/web.pl}";
      environment = {
        PORT = web.port;
        STATUS = web.status;
        BODY = web.body;
        FAILS = web.fails;
        HANGS = if web.hangs then 1 else 0;
      };
      restart = "on-failure";
    };
  }
// {
  nix-daemon = {
    description = "Nix daemon";
    wantedBy = [ ];
    requires = [ "nix-daemon.socket" ];
    execStart = "/usr/bin/nix-daemon --daemon";
    stopIfChanged = false;
    restartTriggers = [ (builtins.toJSON config.nix.settings) ];
    unitConfig = { RefuseManualStop = false; };
    serviceConfig = { KillMode = "process"; LimitNOFILE = 1048576; TasksMax = "infinity"; Delegate = true; };
  };
}
