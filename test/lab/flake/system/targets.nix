# The targets. NixOS links systemd's own into /etc/systemd/system, and a switch starts only targets it finds there, so
# ours are here too; what Debian's packages want through .wants directories below /usr/lib stays in force.
let
  target = description: directives: "[Unit]\nDescription=${description}\n${directives}";
in
{
  "sysinit.target" = target "System initialisation" ''
    Wants=local-fs.target swap.target
    After=local-fs.target swap.target emergency.service emergency.target
    Conflicts=emergency.service emergency.target
  '';
  "basic.target" = target "Basic system" ''
    Requires=sysinit.target
    Wants=sockets.target timers.target paths.target slices.target
    After=sysinit.target sockets.target paths.target slices.target tmp.mount
  '';
  "multi-user.target" = target "Multi-user system" ''
    Requires=basic.target
    After=basic.target rescue.service rescue.target
    Conflicts=rescue.service rescue.target
    AllowIsolate=yes
  '';
  "sockets.target" = target "Sockets" "";
  "timers.target" = target "Timers" ''
    DefaultDependencies=no
    Conflicts=shutdown.target
    Before=shutdown.target
  '';
  "paths.target" = target "Paths" "";
  "local-fs.target" = target "Local file systems" ''
    DefaultDependencies=no
    Conflicts=shutdown.target
    After=local-fs-pre.target
    OnFailure=emergency.target
    OnFailureJobMode=replace-irreversibly
    X-StopOnReconfiguration=true
  '';
  "remote-fs.target" = target "Remote file systems" ''
    After=remote-fs-pre.target
    DefaultDependencies=no
    Conflicts=shutdown.target
    X-StopOnReconfiguration=true
  '';
  "network.target" = target "Network" ''
    After=network-pre.target
    RefuseManualStart=yes
  '';
  "network-online.target" = target "Network is online" ''
    After=network.target
  '';
  # Services ordered before sysinit.target hang here to be started anew by a switch
  "sysinit-reactivation.target" = target "Reactivate sysinit units" ''
    RefuseManualStart=false
    DefaultDependencies=no
  '';
}
