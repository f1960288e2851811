package Plan;

# What a switch will do to the units that are active: stop, start, restart, reload or leave each, after NixOS's rules
# (NixOS manual, "What happens during a system switch", "Unit handling").

use strict;
use warnings;
use UnitFile qw(unit_file truth gone difference);
use Lists qw(recorded record unrecord);

my $here = '/etc/systemd/system';

# toplevel: the new system; active: units_not_inactive; dry: nothing is recorded
sub new {
    my ($class, %given) = @_;
    my $self = bless { %given, stop => {}, skip => {}, quiet => {} }, $class;
    $self->{$_} = { recorded($_) } for qw(start restart reload);
    $self->{there} = "$given{toplevel}/etc/systemd/system";
    return $self;
}

sub put {
    my ($self, $list, $unit) = @_;
    $self->{$list}{$unit} = 1;
    record($list, $unit) if !$self->{dry} && $list =~ /^(start|restart|reload)$/;
}

sub drop {
    my ($self, $list, $unit) = @_;
    unrecord($list, $unit) if delete $self->{$list}{$unit} && !$self->{dry};
}

# The files that define UNIT now and then; an instance that has no file of its own is defined by its template's.
sub files {
    my ($self, $unit) = @_;
    my ($now, $then) = ("$here/$unit", "$self->{there}/$unit");
    my $base = $unit;
    $base = "$1\@.$2" if $unit =~ /^(.*)@[^.]*\.(.*)$/ && !-e $now && !-e $then;
    return ($now, "$here/$base", $then, "$self->{there}/$base", $base);
}

# Compares every active unit of ours. Units from elsewhere (generators, Debian's own) are nobody's business here.
sub compare {
    my ($self) = @_;
    for my $unit (sort keys %{ $self->{active} }) {
        my $is = $self->{active}{$unit};
        next unless index($is->{fragment}, $here) == 0;
        my ($now, $now_base, $then, $then_base, $base) = $self->files($unit);
        next unless -e $now_base && $is->{state} =~ /^(active|activating)$/;
        my $current = unit_file($now, $now_base);
        if (gone($then_base)) {
            $self->put(stop => $unit) if truth($current, 'Unit', 'X-StopOnRemoval', 1);
            next;
        }
        my $new = unit_file($then, $then_base);
        if ($unit =~ /\.target$/) { $self->target($unit, $new); next }
        my $difference = difference($current, $new);
        if ($difference eq 'restart') { $self->changed($unit, $base, $new) }
        elsif ($difference eq 'reload' && !$self->{restart}{$unit}) { $self->put(reload => $unit) }
    }
}

# Active targets are started again: that is what starts whatever they have come to want.
sub target {
    my ($self, $unit, $new) = @_;
    unless ($unit =~ /^(suspend|hibernate|hybrid-sleep)\.target$/
        || truth($new, 'Unit', 'RefuseManualStart', 0) || truth($new, 'Unit', 'X-OnlyManualStart', 0)) {
        $self->put(start => $unit);
        $self->{quiet}{$unit} = 1 unless ($ENV{STC_DISPLAY_ALL_UNITS} // '') eq '1';
    }
    $self->put(stop => $unit) if truth($new, 'Unit', 'X-StopOnReconfiguration', 0);
}

# UNIT's file differs. `late`: the old units are already stopped, so that stop and start can only be a restart.
sub changed {
    my ($self, $unit, $base, $new, $late) = @_;
    return if $unit =~ /^(sysinit|basic|multi-user|graphical)\.target$/ || $unit =~ /\.(path|slice|socket)$/;
    if ($unit =~ /\.mount$/) {
        # / and /nix can hardly be unmounted
        $self->put(($unit eq '-.mount' || $unit eq 'nix.mount' ? 'reload' : 'restart') => $unit);
        return;
    }
    my $stopping = $late ? 'restart' : 'stop';
    if (truth($new, 'Service', 'X-ReloadIfChanged', 0) && !$self->{restart}{$unit} && !$self->{$stopping}{$unit}) {
        $self->put(reload => $unit);
        return;
    }
    if (!truth($new, 'Service', 'X-RestartIfChanged', 1) || truth($new, 'Unit', 'RefuseManualStop', 0)
        || truth($new, 'Unit', 'X-OnlyManualStart', 0)) {
        $self->{skip}{$unit} = 1;
        return;
    }
    if (!truth($new, 'Service', 'X-StopIfChanged', 1) || $unit !~ /\.service$/) { $self->put(restart => $unit) }
    else { $self->stop_and_start($unit, $base, $new, $late) }
    $self->drop(reload => $unit);
}

# A service that its socket starts is only stopped, its socket stopped and started.
sub stop_and_start {
    my ($self, $unit, $base, $new, $late) = @_;
    my ($stopping, $starting) = $late ? ('restart', 'restart') : ('stop', 'start');
    my @sockets = map { split ' ' } @{ $new->{Service}{Sockets} // [] };
    if (!@sockets) { (my $socket = $base) =~ s/@?\.service$/.socket/; @sockets = ($socket) }
    my $by_socket = 0;
    for my $socket (@sockets) {
        my $stays = -e "$self->{there}/$socket";
        if ($self->{active}{$socket}) {
            $self->{$stopping}{$socket} = 1;
            $self->put($starting => $socket) if $stays;
        }
        $by_socket ||= $stays;
    }
    $by_socket = 0 if truth($new, 'Service', 'X-NotSocketActivated', 0);
    $self->put($starting => $unit) unless $by_socket;
    $self->{$stopping}{$unit} = 1;
}

# What the activation script asked for: as if the unit's file had changed.
sub requested_restart {
    my ($self, $unit) = @_;
    if (!$self->{active}{$unit}) { $self->put(start => $unit); return }
    my (undef, undef, $then, $then_base, $base) = $self->files($unit);
    $self->changed($unit, $base, unit_file($then, $then_base), 1);
}

sub requested_reload {
    my ($self, $unit) = @_;
    $self->put(reload => $unit)
        if $self->{active}{$unit} && !$self->{restart}{$unit} && !$self->{stop}{$unit};
}

sub units { my ($self, $list) = @_; return sort { lc $a cmp lc $b } keys %{ $self->{$list} } }
sub shown { my ($self, $list) = @_; return grep { !$self->{quiet}{$_} } $self->units($list) }

1;
