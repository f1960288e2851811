{
  motd = "grace, a NixOS of the lab";
  web.enable = true;
}
