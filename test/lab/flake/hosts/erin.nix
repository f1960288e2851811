{
  motd = "erin, a NixOS of the lab";
  web.enable = true;
}
