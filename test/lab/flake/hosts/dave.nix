# The Raspberry Pi of the story: a web server whose health deploy checks.
{
  motd = "dave, a NixOS of the lab";
  web.enable = true;
  services.ticker = {
    description = "Counts seconds in /run/ticker";
    script = "n=0; while :; do n=$((n+1)); echo $n > /run/ticker; sleep 1; done";
  };
}
