# switch-to-configuration ACTION: makes the system $TOPLEVEL the running one, the boot default, or both.
#
# A stand-in for NixOS's own program with its order, its rules, its files and its exit codes:
#   0 done; 1 usage, not root, not NixOS, pre-switch checks, boot loader; 2 the activation script failed;
#   4 a unit failed (and wins over 2); 11 the lock is taken (where it isn't waited for); 100 needs a reboot;
#   101 nobody reads our output any more.
use strict;
use warnings;
use Cwd 'abs_path';
use Errno 'EWOULDBLOCK';
use Fcntl ':flock';
use Lists qw(recorded record unrecord forget requested);
use Plan;
use Systemd qw(units_not_inactive is_active act systemctl reload_users);
use UnitFile 'unit_file';

my ($out, $toplevel) = @ENV{qw(OUT TOPLEVEL)};
my $action = shift @ARGV // '';
my %known = map { $_ => 1 } split ' ', $ENV{STC_ACTIONS};

$SIG{PIPE} = 'IGNORE';
$SIG{HUP} = 'IGNORE';
$SIG{__DIE__} = sub { print STDERR @_; exit 1 };
$ENV{PATH} = '/usr/sbin:/usr/bin:/sbin:/bin';

sub say_line { print STDERR "$_[0]\n" or exit 101 }
sub give_up { say_line($_[1]); exit $_[0] }
sub announce { my ($what, @units) = @_; say_line("$what: " . join(', ', @units)) if @units }
sub succeeded { return system(@_) == 0 }

if (!$known{$action}) {
    say_line("Usage: switch-to-configuration [" . join('|', split ' ', $ENV{STC_ACTIONS}) . "]");
    say_line("check:        run pre-switch checks and exit") if $known{check};
    say_line("switch:       make the configuration the boot default and activate now");
    say_line("boot:         make the configuration the boot default");
    say_line("test:         activate the configuration, but don't make it the boot default");
    say_line("dry-activate: show what would be done if this configuration were activated");
    exit 1;
}
give_up(1, 'switch-to-configuration must be run as the root user') if $> != 0;
$ENV{NIXOS_ACTION} = $action;
give_up(1, 'This is not a NixOS installation!') unless -f '/etc/NIXOS';

mkdir '/run/nixos', 0755;
open(my $lock, '>>', '/run/nixos/switch-to-configuration.lock') or give_up(1, 'Could not open lock');
my $how = $ENV{STC_LOCK} eq 'refuses' ? LOCK_EX | LOCK_NB : LOCK_EX;
flock($lock, $how) or give_up(EWOULDBLOCK, 'Could not acquire lock');

if (($ENV{NIXOS_NO_CHECK} // '') ne '1') {
    succeeded(split(' ', $ENV{PRE_SWITCH_CHECK}), $toplevel, $action)
        or give_up(1, 'Pre-switch checks failed');
}
exit 0 if $action eq 'check';

if ($action eq 'switch' || $action eq 'boot') {
    succeeded(split(' ', $ENV{INSTALL_BOOTLOADER}), $toplevel) or give_up(1, 'Failed to install bootloader');
}
system('sync', '-f', '/nix/store') if ($ENV{NIXOS_NO_SYNC} // '') ne '1';
exit 0 if $action eq 'boot';

sub contents { open(my $file, '<', $_[0]) or return ''; local $/; return <$file> // '' }

if (contents('/run/current-system/init-interface-version') ne contents("$toplevel/init-interface-version")) {
    say_line("Warning: the new NixOS configuration has an 'init' that is");
    say_line("incompatible with the current configuration.  The new configuration");
    say_line("won't take effect until you reboot the system.");
    exit 100;
}

my $dry = $action eq 'dry-activate';
my $active = units_not_inactive();
my $plan = Plan->new(toplevel => $toplevel, active => $active, dry => $dry);
$plan->compare();

# systemd starts anew when its program or its own configuration is another one
sub place { return abs_path($_[0]) // '/unknown' }
my $new_systemd = place('/proc/1/exe') ne place("$ENV{SYSTEMD}/lib/systemd/systemd")
    || place('/etc/systemd/system.conf') ne place("$toplevel/etc/systemd/system.conf");

if ($dry) {
    announce('would stop the following units', $plan->shown('stop'));
    announce('would NOT stop the following changed units', $plan->units('skip'));
    say_line('would activate the configuration...');
    system("$out/dry-activate", $out);
    $plan->requested_restart($_) for requested('dry-activation', 'restart');
    $plan->requested_reload($_) for requested('dry-activation', 'reload');
    say_line('would restart systemd') if $new_systemd;
    announce('would reload the following units', $plan->units('reload'));
    announce('would restart the following units', $plan->units('restart'));
    announce('would start the following units', $plan->shown('start'));
    exit 0;
}

system('logger', '-t', 'nixos', "switching to system configuration $toplevel");
my $status = 0;

announce('stopping the following units', $plan->shown('stop'));
act('stop', $plan->units('stop'));
announce('NOT restarting the following changed units', $plan->units('skip'));

say_line('activating the configuration...');
if (-e "$out/activate" && !succeeded("$out/activate", $out)) {
    say_line('Failed to run activate script');
    $status = 2;
}
$plan->requested_restart($_) for requested('activation', 'restart');
$plan->requested_reload($_) for requested('activation', 'reload');

if ($new_systemd) {
    say_line('restarting systemd...');
    systemctl('daemon-reexec');
}
systemctl('reset-failed');
systemctl('daemon-reload') or $status = 4;
reload_users(\&say_line);

say_line('restarting sysinit-reactivation.target');
act('restart', 'sysinit-reactivation.target') or $status = 4;

# A unit to be reloaded may have been stopped with one that it requires: then it is started instead.
for my $unit ($plan->units('reload')) {
    next if is_active($unit);
    my $file = "$toplevel/etc/systemd/system/$unit";
    $plan->put(start => $unit)
        if -e $file && !UnitFile::truth(unit_file($file, $file), 'Unit', 'RefuseManualStart', 0);
    $plan->drop(reload => $unit);
}

for my $step ([ reload => 'reloading' ], [ restart => 'restarting' ], [ start => 'starting' ]) {
    my ($verb, $doing) = @$step;
    announce("$doing the following units", $plan->shown($verb));
    act($verb, $plan->units($verb)) or $status = 4;
    forget($verb);
}

# A unit may fail right after it was started: a moment for that, as the real program gives
select undef, undef, undef, 0.25;

my (@failed, @new);
my $now = units_not_inactive();
for my $unit (sort { lc $a cmp lc $b } keys %$now) {
    my $is = $now->{$unit};
    if ($is->{state} eq 'failed'
        || $is->{substate} eq 'auto-restart' && $unit =~ /\.service$/ && $is->{status} != 0) {
        push @failed, $unit;
    }
    elsif (!$active->{$unit} && $unit !~ /\.scope$/) { push @new, $unit }
}
announce('the following new units were started', @new);
if (@failed) {
    announce('warning: the following units failed', @failed);
    systemctl('status', '--no-pager', '--full', '--', @failed);
    $status = 4;
}
system('logger', '-t', 'nixos', $status
    ? "switching to system configuration $toplevel failed (status $status)"
    : "finished switching to system configuration $toplevel");
exit $status;
