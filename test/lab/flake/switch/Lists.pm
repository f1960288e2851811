package Lists;

# What is still to be done, on file, so that an interrupted switch is taken up by the next one: /run/nixos/start-list,
# restart-list and reload-list.

use strict;
use warnings;
use Exporter 'import';
our @EXPORT_OK = qw(recorded record unrecord forget requested);

my $directory = '/run/nixos';

sub units_in {
    my ($path) = @_;
    open(my $file, '<', $path) or return;
    chomp(my @units = <$file>);
    return grep { $_ ne '' } @units;
}

sub recorded { my ($list) = @_; return map { $_ => 1 } units_in("$directory/$list-list") }

sub record {
    my ($list, $unit) = @_;
    open(my $file, '>>', "$directory/$list-list") or return;
    print $file "$unit\n";
}

sub unrecord {
    my ($list, $unit) = @_;
    my @others = grep { $_ ne $unit } units_in("$directory/$list-list");
    open(my $file, '>', "$directory/$list-list") or return;
    print $file "$_\n" for @others;
}

sub forget { my ($list) = @_; unlink "$directory/$list-list" }

# What an activation script asked for (PREFIX is 'activation' or 'dry-activation'); its file is taken away
sub requested {
    my ($prefix, $list) = @_;
    my $path = "$directory/$prefix-$list-list";
    my @units = units_in($path);
    unlink $path;
    return @units;
}

1;
