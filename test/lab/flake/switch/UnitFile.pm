package UnitFile;

# Unit files as a switch sees them: sections of keys of values, drop-ins included, [Install] left out.

use strict;
use warnings;
use Cwd 'abs_path';
use Exporter 'import';
our @EXPORT_OK = qw(unit_file truth gone difference);

# PATH, and for an instance the path of its template too: { section => { key => [values] } }
sub unit_file {
    my ($path, $base) = @_;
    my %unit;
    add(\%unit, $base);
    add(\%unit, $_) for drop_ins("$base.d"), $path eq $base ? () : drop_ins("$path.d");
    return \%unit;
}

sub drop_ins {
    my ($directory) = @_;
    opendir(my $handle, $directory) or return ();
    return map { "$directory/$_" } sort grep { /\.conf$/ } readdir $handle;
}

sub add {
    my ($unit, $path) = @_;
    open(my $file, '<', $path) or die "Failed to open unit file $path: $!\n";
    my ($section, $continued, %here) = ('', '');
    while (my $line = <$file>) {
        chomp $line;
        if ($continued ne '') { $line =~ s/^\s+//; $line = "$continued $line"; $continued = '' }
        if ($line =~ s/\\$//) { $line =~ s/\s+$//; $continued = $line; next }
        next if $line =~ /^\s*([#;]|$)/;
        if ($line =~ /^\s*\[(.*)\]\s*$/) { $section = $1; next }
        next if $section eq 'Install' || $line !~ /^\s*([^=]+?)\s*=\s*(.*?)\s*$/;
        my ($key, $value) = ($1, $2);
        # an empty value takes back what was said before
        if ($value eq '') { $unit->{$section}{$key} = [] }
        else { push @{ $unit->{$section}{$key} }, $value }
    }
}

# A boolean of the unit, or DEFAULT where it says nothing
sub truth {
    my ($unit, $section, $key, $default) = @_;
    my $values = $unit->{$section}{$key};
    return $default unless $values && @$values;
    return $values->[-1] =~ /^(1|yes|true|on)$/ ? 1 : 0;
}

# Neither there nor more than a link to /dev/null
sub gone {
    my ($path) = @_;
    return !-e $path || (abs_path($path) // '') eq '/dev/null';
}

my %ignored = map { $_ => 1 } qw(
    X-Reload-Triggers Description Documentation OnFailure OnSuccess OnFailureJobMode IgnoreOnIsolate StopWhenUnneeded
    RefuseManualStart RefuseManualStop AllowIsolate CollectMode SourcePath);

# What a changed KEY of SECTION asks for: nothing (''), 'reload' or 'restart'. Dropping ExecReload asks for nothing:
# the process goes on, and could not be reloaded any more.
sub weight {
    my ($section, $key, $change) = @_;
    if ($section eq 'Unit') {
        return $change eq 'removed' ? '' : 'reload' if $key eq 'X-Reload-Triggers';
        return '' if $ignored{$key};
    }
    return $change eq 'removed' ? '' : 'reload' if $section eq 'Service' && $key eq 'ExecReload';
    return 'reload' if $section eq 'Mount' && $key eq 'Options' && $change eq 'changed';
    return 'restart';
}

# What the change from CURRENT to NEW asks for: '', 'reload' or 'restart'
sub difference {
    my ($current, $new) = @_;
    my $most = '';
    for my $section (keys %{ { %$current, %$new } }) {
        my ($old, $now) = ($current->{$section}, $new->{$section});
        return 'restart' if $section ne 'Unit' && $section ne 'Service' && !($old && $now);
        for my $key (keys %{ { %{ $old // {} }, %{ $now // {} } } }) {
            my ($was, $is) = ($old && $old->{$key}, $now && $now->{$key});
            next if $was && $is && join("\0", @$was) eq join("\0", @$is);
            my $asked = weight($section, $key, !$is ? 'removed' : !$was ? 'added' : 'changed');
            return 'restart' if $asked eq 'restart';
            $most = $asked if $asked;
        }
    }
    return $most;
}

1;
