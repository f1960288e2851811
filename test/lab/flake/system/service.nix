# The unit file of one service, after the rules of NixOS's systemd.services: which lines mark what a switch may do.
#
# Fields: description, script (shell) or execStart; preStart, preStop, reload (shell); execStop; type, remainAfterExit,
# restart, restartSec, user, environment; requires, wants, after, before, bindsTo, partOf, conflicts, onFailure;
# restartIfChanged, stopIfChanged, reloadIfChanged, restartTriggers, reloadTriggers; unitConfig, serviceConfig (any
# other line); enable, wantedBy, requiredBy (links, made in units.nix).
{ shell, busybox }:
name: given:
let
  service = {
    description = name;
    type = "simple";
    remainAfterExit = false;
    restart = null; restartSec = null; user = null;
    script = null; execStart = null; preStart = null; preStop = null; execStop = null; reload = null;
    environment = { };
    restartIfChanged = true; stopIfChanged = true; reloadIfChanged = false;
    restartTriggers = [ ]; reloadTriggers = [ ];
    unitConfig = { }; serviceConfig = { };
  } // given;

  text = value: if value == true then "true" else if value == false then "false" else toString value;
  line = key: value:
    if value == null || value == [ ] then ""
    else if builtins.isList value then "${key}=${builtins.concatStringsSep " " (map text value)}\n"
    else "${key}=${text value}\n";
  lines = set: builtins.concatStringsSep "" (builtins.attrValues (builtins.mapAttrs line set));

  # Store file names allow fewer characters than unit names
  plain = builtins.replaceStrings [ "@" "\\" ":" ] [ "" "-" "-" ] name;
  list = field: service.${field} or [ ];
  command = step: script:
    if script == null then null
    else "${shell} ${builtins.toFile "${plain}-${step}" "set -e\n${script}\n"}";
  variable = key: value: "Environment=\"${key}=${text value}\"\n";
  # As NixOS does: the triggers' contents become a path, so that the unit file changes with them.
  triggers = kind: values:
    if values == [ ] then null
    else builtins.toFile "${kind}-${plain}" (builtins.concatStringsSep "\n" (map text values) + "\n");
in
''
  [Unit]
  Description=${service.description}
''
+ lines ({
  Requires = list "requires";
  Wants = list "wants";
  After = list "after";
  Before = list "before";
  BindsTo = list "bindsTo";
  PartOf = list "partOf";
  Conflicts = list "conflicts";
  OnFailure = list "onFailure";
  X-Restart-Triggers = triggers "X-Restart-Triggers" service.restartTriggers;
  X-Reload-Triggers = triggers "X-Reload-Triggers" service.reloadTriggers;
} // service.unitConfig)
+ "\n[Service]\n"
+ "Environment=\"PATH=${busybox}/bin:/usr/sbin:/usr/bin:/sbin:/bin\"\n"
+ builtins.concatStringsSep "" (builtins.attrValues (builtins.mapAttrs variable service.environment))
+ lines ({
  Type = service.type;
  RemainAfterExit = if service.remainAfterExit then true else null;
  Restart = service.restart;
  RestartSec = service.restartSec;
  User = service.user;
  ExecStartPre = command "pre-start" service.preStart;
  ExecStart = if service.execStart != null then service.execStart else command "start" service.script;
  ExecStop = if service.execStop != null then service.execStop else command "pre-stop" service.preStop;
  ExecReload = command "reload" service.reload;
  X-ReloadIfChanged = if service.reloadIfChanged then true else null;
  X-RestartIfChanged = if !service.reloadIfChanged && !service.restartIfChanged then false else null;
  X-StopIfChanged =
    if !service.reloadIfChanged && service.restartIfChanged && !service.stopIfChanged then false else null;
} // service.serviceConfig)
