# inhibitors.pl CURRENT NEW: fails when an inhibitor that both systems name has changed. Each file is one flat JSON
# object of strings; a missing one names nothing.
use strict;
use warnings;

sub inhibitors {
    my ($path) = @_;
    open(my $file, '<', $path) or return {};
    local $/;
    my $json = <$file> // '';
    my %found;
    while ($json =~ /"((?:[^"\\]|\\.)*)"\s*:\s*"((?:[^"\\]|\\.)*)"/g) { $found{$1} = $2 }
    return \%found;
}

my ($current, $new) = map { inhibitors($_) } @ARGV;
my @changed = grep { exists $current->{$_} && $current->{$_} ne $new->{$_} } sort keys %$new;
exit 0 unless @changed;
print "There are changes to critical components of the system:\n\n";
print "  $_: $current->{$_} -> $new->{$_}\n" for @changed;
print "\nSwitching to this system on the fly is unsafe. Use 'boot' and reboot, or set NIXOS_NO_CHECK=1.\n";
exit 1;
