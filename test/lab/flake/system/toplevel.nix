# The toplevel of one configuration: the files and links that a NixOS toplevel has.
{ config, specialisations }:
let
  tools = import ./derivation.nix { system = config.builtFor or config.system; };
  inherit (tools) make shell busybox;

  etc = import ./etc.nix { inherit config make shell busybox; };
  sw = import ./system-path.nix { inherit config make shell; };
  boot = import ./boot.nix { inherit config make; };
  activation = import ./activation.nix { inherit config etc; };

  bootspec = {
    "org.nixos.bootspec.v1" = {
      init = "@out@/init";
      initrd = "${boot.initrd}/initrd";
      inherit (config) kernelParams system;
      kernel = "${boot.kernel}/Image";
      label = "NixOS lab ${config.version} (Linux ${config.kernel.version})";
      toplevel = "@out@";
    };
    "org.nixos.specialisation.v1" = builtins.mapAttrs (_: child: { "org.nixos.bootspec.v1".toplevel = "${child}"; })
      specialisations;
  };

  switchToConfiguration = ''
    #!${shell}
    export OUT=@out@ TOPLEVEL=@out@ SYSTEMD=/usr
    export PRE_SWITCH_CHECK='${shell} ${import ./pre-switch.nix { inherit config; }}'
    export INSTALL_BOOTLOADER='${shell} ${bootLoader} -g ${toString config.configurationLimit} -c'
    export STC_ACTIONS='${toString config.switch.actions}' STC_LOCK='${config.switch.lock}'
    exec /usr/bin/perl -I${../switch} ${../switch}/switch-to-configuration.pl "$@"
  '';
  bootLoader =
    let inherit (config.switch) noBootLoader beforeBootLoader afterBootLoader;
    in if noBootLoader != false then builtins.toFile "no-boot-loader" "echo '${noBootLoader}' >&2; exit 1\n"
    else if "${beforeBootLoader}${afterBootLoader}" == "" then ../boot-loader + "/${config.bootLoader}"
    else builtins.toFile config.bootLoader
      "${beforeBootLoader}\n${builtins.readFile (../boot-loader + "/${config.bootLoader}")}\n${afterBootLoader}\n";

  link = name: child: "ln -s ${child} $out/specialisation/${name}\n";
in
make "nixos-system-${config.name}-${config.version}" {
  inherit etc sw;
  passAsFile = [ "activate" "dryActivate" "bootJson" "init" "switchToConfiguration" "inhibitors" ];
  inherit (activation) activate dryActivate;
  bootJson = builtins.toJSON bootspec;
  init = import ./init.nix { inherit shell busybox; };
  inherit switchToConfiguration;
  inhibitors = builtins.toJSON config.switchInhibitors;
  script = ''
    ${if config.brokenBuild == false then "" else ''
      echo "configuring"; echo "building"; echo "${config.brokenBuild}" >&2; exit 1
    ''}
    sleep ${toString config.buildSeconds}
    ${config.whileBuilding}
    mkdir -p $out/bin $out/specialisation
    program() { sed "s#@out@#$out#g" "$1" > "$2"; chmod 555 "$2"; }
    program "$activatePath" $out/activate
    program "$dryActivatePath" $out/dry-activate
    program "$initPath" $out/init
    program "$switchToConfigurationPath" $out/bin/switch-to-configuration
    sed "s#@out@#$out#g" "$bootJsonPath" > $out/boot.json
    cp "$inhibitorsPath" $out/switch-inhibitors
    ln -s $etc/etc $out/etc
    ln -s $sw $out/sw
    ln -s /usr $out/systemd
    ln -s ${boot.kernel}/Image $out/kernel
    ln -s ${boot.initrd}/initrd $out/initrd
    [ ! -d ${boot.kernel}/dtbs ] || ln -s ${boot.kernel}/dtbs $out/dtbs
    ln -s ${boot.modules} $out/kernel-modules
    printf '%s' '${toString config.kernelParams}' > $out/kernel-params
    printf '%s' '${config.initInterface}' > $out/init-interface-version
    printf '%s' '${config.version}' > $out/nixos-version
    printf '%s' '${config.system}' > $out/system
    ${builtins.concatStringsSep "" (builtins.attrValues (builtins.mapAttrs link specialisations))}
  '';
}
