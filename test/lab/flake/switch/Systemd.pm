package Systemd;

# systemd through systemctl, which speaks to PID 1 over its private socket and waits for its jobs without a limit.

use strict;
use warnings;
use Exporter 'import';
our @EXPORT_OK = qw(units_not_inactive is_active act systemctl reload_users);

my $systemctl = "$ENV{SYSTEMD}/bin/systemctl";

sub systemctl { return system($systemctl, @_) == 0 }

# Every loaded unit that isn't inactive: name => { state, substate, fragment, status }
sub units_not_inactive {
    open(my $show, '-|', $systemctl, 'show', '*', '--no-pager',
        '--property=Id,ActiveState,SubState,FragmentPath,Following,ExecMainStatus')
        or die "Failed to list systemd units: $!\n";
    my @blocks = split /\n\n+/, do { local $/; <$show> // '' };
    close $show or die "Failed to list systemd units\n";
    my %units;
    for my $block (@blocks) {
        my %property = $block =~ /^(\w+)=(.*)$/mg;
        next if ($property{Following} // '') ne '' || ($property{ActiveState} // 'inactive') eq 'inactive';
        $units{ $property{Id} } = {
            state    => $property{ActiveState},
            substate => $property{SubState},
            fragment => $property{FragmentPath} // '',
            status   => $property{ExecMainStatus} // 0,
        };
    }
    return \%units;
}

# The real program ends in the middle of a switch (exit 1) when it asks for a unit that isn't there at all.
sub is_active {
    my ($unit) = @_;
    open(my $show, '-|', $systemctl, 'show', '--property=LoadState,ActiveState', '--', $unit) or return 0;
    my %property = map { /^(\w+)=(.*)$/ } <$show>;
    die "Failed to get unit $unit\n" if ($property{LoadState} // 'not-found') eq 'not-found';
    return ($property{ActiveState} // '') =~ /^(active|activating)$/;
}

# VERB for all UNITS at once, waited for. False when a job failed, ran into its timeout or a dependency's failure. A job
# that somebody cancelled is no failure, as in the real program; systemctl itself thinks otherwise, and names each.
sub act {
    my ($verb, @units) = @_;
    return 1 unless @units;
    open(my $said, '-|', '/bin/sh', '-c', 'exec "$0" "$@" 2>&1', $systemctl, $verb, '--', @units)
        or die "Failed to run systemctl: $!\n";
    my $cancelled = 1;
    while (my $line = <$said>) {
        print STDERR $line or exit 101;
        $cancelled &&= $line =~ /^Job for \S+ canceled\.$/;
    }
    return 1 if close $said;
    return $cancelled;
}

# The managers of the users who are logged in start anew and so read their units again.
sub reload_users {
    my ($say) = @_;
    open(my $list, '-|', 'loginctl', 'list-users', '--no-legend') or return;
    my @users = map { [ /^\s*(\d+)\s+(\S+)/ ] } <$list>;
    for my $user (grep { @$_ } @users) {
        my ($uid, $name) = @$user;
        next unless -S "/run/user/$uid/systemd/private";
        my $gid = (getpwuid $uid)[3];
        $say->("reloading user units for $name...");
        next if my $child = fork;
        $( = $) = "$gid $gid";
        ($<, $>) = ($uid, $uid);
        %ENV = (XDG_RUNTIME_DIR => "/run/user/$uid", PATH => $ENV{PATH});
        exec $systemctl, '--user', 'daemon-reexec';
    }
    1 while wait > 0;
}

1;
