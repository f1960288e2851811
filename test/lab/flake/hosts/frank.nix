{
  motd = "frank, a NixOS of the lab";
  web.enable = true;
}
