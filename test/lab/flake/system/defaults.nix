# Every knob and what it means. A host's file and its override change these; null takes one away.
{
  version = "26.05.1"; # what nixos-version says; also part of the toplevel's name
  system = "x86_64-linux"; # what the system says it is made for
  builtFor = null; # the `system` of the derivations; null: the same. Lets a wrong architecture be built
  motd = "a NixOS of the lab";

  # --- how evaluation and build go
  broken = false; # a string: evaluation throws it
  warnings = [ ]; # printed while evaluating
  generated = false; # true: a text of the configuration comes from a derivation that evaluation has to build
  brokenBuild = false; # a string: the build of the toplevel logs it and fails
  buildSeconds = 0; # the build of the toplevel takes that long
  whileBuilding = ""; # shell that the build of the toplevel runs
  evaluationCost = 0; # that many attribute sets are made while evaluating
  packages = { count = 4; size = 20000; version = "1"; }; # filler packages, bytes each
  bigPath = 0; # one more path of that many MB
  programs = { }; # NAME = a shell script: appears in sw/bin

  # --- booting
  # `size`: bytes, for the kernel and for its initrd. `files` instead: a directory with real ones, Image and initrd; with
  # `bytes`, only that much of the Image. `isDead`: it never comes up
  kernel = { version = "6.12.41"; size = 100000; isDead = false; };
  kernelParams = [ "loglevel=4" ];
  bootLoader = "extlinux"; # or "systemd-boot"
  initInterface = "systemd 2"; # another one cannot be switched to without a reboot: exit 100
  configurationLimit = 20; # generations in the boot menu

  # --- the system
  sshd = { enable = true; settings = { }; };
  network = { enable = true; };
  nix = { settings = { }; };
  web = { enable = false; port = 8080; status = 200; body = "hello"; fails = 0; hangs = false; };
  services = { }; # NAME = see services.nix
  units = { }; # "NAME.timer" = { text = "..."; wantedBy = [ "timers.target" ]; }
  masked = [ ]; # unit names
  etc = { }; # "PATH" = "contents"
  systemd = { settings = { }; }; # [Manager] of /etc/systemd/system.conf: a change re-executes systemd

  # --- activation and switching
  activationScripts = { }; # NAME = "text" or { text = "..."; deps = [ "etc" ]; supportsDryActivation = true; }
  preSwitchChecks = { }; # NAME = a shell fragment; $1 is the new toplevel, $2 the action
  switchInhibitors = { }; # NAME = a string: one that differs refuses a live switch
  switch = {
    actions = [ "check" "switch" "boot" "test" "dry-activate" ]; # older releases have no check
    lock = "waits"; # "refuses": newer releases fail at once when another switch holds the lock
    noBootLoader = false; # a string: the boot loader step prints it and fails
    beforeBootLoader = ""; # a shell fragment run before its script; `exit 0` there: it does nothing, and says nothing
    afterBootLoader = ""; # the same, at its end: the menu is in place, nothing is synced
  };

  specialisation = { }; # NAME = knobs laid over these
}
