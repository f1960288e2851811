# A web server whose health is a knob.
#   GET /health  answers STATUS (environment), or 503 to the first FAILS requests, or never (HANGS=1).
#   GET /...     answers 200 and BODY.
# /run/web-status, when there, holds a status that wins over STATUS: a service whose health changes while it runs.
use strict;
use warnings;
use IO::Socket::INET;

my @kept;
my ($port, $status, $fails) = ($ENV{PORT}, $ENV{STATUS}, $ENV{FAILS});
$SIG{PIPE} = 'IGNORE';
my $listener = IO::Socket::INET->new(LocalPort => $port, Listen => 64, ReuseAddr => 1)
    or die "cannot listen on port $port: $!\n";
print STDERR "listening on port $port, /health answers $status\n";

sub health {
    return 503 if $fails-- > 0;
    open(my $file, '<', '/run/web-status') or return $status;
    my ($now) = (<$file> // '') =~ /(\d+)/;
    return $now // $status;
}

while (1) {
    my $client = $listener->accept() or next;
    my $request = <$client> // '';
    while (defined(my $header = <$client>)) { last if $header =~ /^\r?\n$/ }
    my $path = $request =~ m{^\S+ (\S+)} ? $1 : '/';
    my $code = 200;
    if ($path eq '/health') {
        if ($ENV{HANGS}) { push @kept, $client; next }
        $code = health();
    }
    my $body = "$ENV{BODY}\n";
    print $client "HTTP/1.1 $code lab\r\nContent-Type: text/plain\r\nConnection: close\r\n",
        'Content-Length: ', length($body), "\r\n\r\n", $body;
    close $client;
}
