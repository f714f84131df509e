# Attempts to get out of a jail, one by name: prints `done` and what was gained, or the error of the
# call that was refused. Raw system calls where the C library would choose another one.
use strict;
use warnings;
use Errno;
use Fcntl;
use POSIX ();
use Socket;
use IO::Handle;

STDOUT->autoflush(1);

my $machine = (POSIX::uname())[4];
my %nr = $machine eq 'aarch64'
    ? (ioctl => 29, pidfd_open => 434, mount => 40, ptrace => 117, unshare => 97, keyctl => 219, add_key => 217, memfd_create => 279,
       userfaultfd => 282, io_uring_setup => 425, clone3 => 435, fchmodat => 53, mkdirat => 34, chroot => 51,
       sethostname => 161, execveat => 281, exit => 93)
    : (ioctl => 16, pidfd_open => 434, mount => 165, ptrace => 101, unshare => 272, keyctl => 250, add_key => 248, memfd_create => 319,
       userfaultfd => 323, io_uring_setup => 425, clone3 => 435, fchmodat => 268, mkdirat => 258, chroot => 161,
       sethostname => 170, execveat => 322, exit => 60);
my ($NEWUSER, $NEWNS, $NEWNET) = (0x10000000, 0x20000, 0x40000000);

sub done { print join(' ', 'done', @_), "\n"; exit 0 }

sub refused {
    my $number = $! + 0;
    my ($name) = grep { exists $!{$_} && Errno->can($_) && Errno->can($_)->() == $number } sort keys %!;
    $name = 'EOPNOTSUPP' if ($name // '') eq 'ENOTSUP';
    $name = 'EAGAIN' if ($name // '') eq 'EWOULDBLOCK';
    print 'refused ', $name // $number, "\n";
    exit 1;
}

# A system call that must work, or the attempt ends here.
sub call { my $name = shift; my $answer = syscall($nr{$name}, @_); refused() if $answer == -1; return $answer }

sub slurp { open(my $file, '<', $_[0]) or refused(); local $/; my $text = <$file>; refused() unless defined $text; $text }

sub spill { open(my $file, '>', $_[0]) or refused(); (print $file $_[1]) && close($file) or refused() }

sub tcp { my ($host, $port) = @_;
    socket(my $s, PF_INET, SOCK_STREAM, 0) or refused();
    connect($s, pack_sockaddr_in($port, inet_aton($host))) or refused();
    return $s }

sub unix { socket(my $s, PF_UNIX, SOCK_STREAM, 0) or refused();
    connect($s, pack_sockaddr_un($_[0])) or refused();
    return $s }

sub terminal {
    open(my $master, '+<', '/dev/ptmx') or refused();
    my ($unlock, $number) = (pack('i', 0), pack('i', 0));
    ioctl($master, 0x40045431, $unlock) or refused();
    ioctl($master, 0x80045430, $number) or refused();
    my $slave = syscall($nr{ioctl}, fileno($master), 0x5441, 2 | 0400);
    refused() if $slave == -1;
    return ($master, $slave);
}

sub copy_of { my ($from, $to) = @_; spill($to, slurp($from)); chmod(0755, $to) or refused() }

my %attempt = (
    read => sub { done(slurp($_[0])) },
    # Enough to know that it was read, and too little to know what.
    sum => sub { my $text = slurp($_[0]); done(length($text), unpack('%32C*', $text)) },
    list => sub { opendir(my $d, $_[0]) or refused(); done(grep { !/^\./ } readdir($d)) },
    write => sub { spill(@_); done() },
    append => sub { open(my $file, '>>', $_[0]) or refused(); (print $file $_[1]) && close($file) or refused(); done() },
    mkdir => sub { mkdir($_[0]) or refused(); done() },
    rename => sub { rename($_[0], $_[1]) or refused(); done() },
    unlink => sub { unlink($_[0]) or refused(); done() },
    link => sub { link($_[0], $_[1]) or refused(); done(slurp($_[1])) },
    tcp => sub { my $s = tcp($_[0], $_[1]); syswrite($s, $_[2]) or refused(); done() },
    udp => sub { socket(my $s, PF_INET, SOCK_DGRAM, 0) or refused();
        defined send($s, $_[2], 0, pack_sockaddr_in($_[1], inet_aton($_[0]))) or refused(); done() },
    unix => sub { my $s = unix($_[0]); syswrite($s, $_[1]) or refused(); done() },
    abstract => sub { my $s = unix("\0$_[0]"); syswrite($s, $_[1]) or refused(); done() },
    socket => sub { socket(my $s, $_[0], $_[1], $_[2]) or refused(); done() },
    unshare => sub { call('unshare', $NEWUSER); done() },
    clone3 => sub { my $args = pack('Q8', $NEWUSER, 0, 0, 0, 17, 0, 0, 0);
        my $pid = syscall($nr{clone3}, $args, 64);
        POSIX::_exit(0) if $pid == 0;
        refused() if $pid == -1;
        waitpid($pid, 0); done() },
    mount => sub { my ($type, $at) = ('tmpfs', $_[0]); call('mount', $type, $at, $type, 0, 0); done() },
    mount_in_namespace => sub { call('unshare', $NEWUSER | $NEWNS);
        my ($type, $at) = ('tmpfs', $_[0]); call('mount', $type, $at, $type, 0, 0); done() },
    raw_in_namespace => sub { call('unshare', $NEWUSER | $NEWNET);
        socket(my $s, AF_INET, SOCK_RAW, 1) or refused(); done() },
    chroot_in_namespace => sub { call('unshare', $NEWUSER); my $at = $_[0]; call('chroot', $at); done() },
    io_uring => sub { my $parameters = "\0" x 120; call('io_uring_setup', 1, $parameters); done() },
    userfaultfd => sub { call('userfaultfd', 1); done() },
    keyring => sub { call('keyctl', 0, -3, 0, 0, 0); done() },
    # The key that the caller has in its session keyring.
    key => sub { my ($type, $name, $text) = ('user', $_[0], "\0" x 64);
        my $key = call('keyctl', 10, -3, $type, $name, 0);
        my $length = call('keyctl', 11, $key, $text, 64, 0);
        done(substr($text, 0, $length)) },
    kill => sub { kill('TERM', $_[0]) or refused(); done() },
    ptrace => sub { call('ptrace', 16, $_[0] + 0, 0, 0); waitpid($_[0], 0); call('ptrace', 17, $_[0] + 0, 0, 0); done() },
    setuid_bit => sub { spill($_[0], ''); my $path = $_[0]; call('fchmodat', -100, $path, 04755); done(sprintf '%o', (stat $_[0])[2] & 07777) },
    setgid_directory => sub { my $path = $_[0]; call('mkdirat', -100, $path, 02755); chmod(02755, $path) or refused(); done() },
    tiocsti => sub { my ($master, $slave) = terminal();
        my $letter = 'x'; POSIX::setsid(); call('ioctl', $slave, 0x540e, 0);
        call('ioctl', $slave, hex $_[0], $letter); done() },
    execute_copy => sub { copy_of('/usr/bin/echo', $_[0]); exec { $_[0] } 'echo', 'done', $_[1] or refused() },
    execute_by_loader => sub { copy_of('/usr/bin/echo', $_[0]);
        my ($loader) = grep { -e } '/lib64/ld-linux-x86-64.so.2', '/lib/ld-linux-aarch64.so.1';
        my $said = qx($loader $_[0] $_[1] 2>&1);
        print $? == 0 ? "done $said" : $said =~ /failed to map segment/ ? "refused EPERM\n" : "refused $said\n" },
    memfd => sub { my ($name, $empty) = ("x", "");
        my $fd = call('memfd_create', $name, hex($_[1]));
        open(my $file, '>&=', $fd) or refused(); print $file slurp('/usr/bin/echo'); $file->flush();
        exec { "/proc/self/fd/$fd" } 'echo', 'done', $_[0] or refused() },
    program => sub { exec { $_[0] } @_ or refused() },
    become_root => sub { my $id = qx($_[0] -u); $! = POSIX::EPERM; $id =~ /^0$/ ? done() : refused() },
    host => sub { done((POSIX::uname())[1]) },
    shm => sub { my $id = shmget($_[0] + 0, 0, 0); defined $id or refused();
        my $text; shmread($id, $text, 0, 24) or refused(); done($text) },
    make_shm => sub { my $id = shmget($_[0] + 0, 64, 01600) // refused(); shmwrite($id, $_[1], 0, 24) or refused(); done($id) },
    drop_shm => sub { shmctl(shmget($_[0] + 0, 0, 0) // refused(), 0, 0) or refused(); done() },
    descriptor => sub { open(my $file, '<&=', $_[0]) or refused(); local $/; done(<$file>) },
    # With a key in a new session keyring, goes on as somebody else.
    with_key => sub { my ($type, $name, $text) = ('user', shift, shift);
        call('keyctl', 1, 0, 0, 0, 0);
        call('add_key', $type, $name, $text, length($text), -3);
        exec { $_[0] } @_ or refused() },
    # Listens on a socket in a directory that only root can enter, as the uid given.
    listen_as => sub { my ($directory, $uid) = @_;
        chdir($directory) or refused();
        POSIX::setuid($uid) or refused() if $uid;
        socket(my $s, PF_UNIX, SOCK_STREAM, 0) or refused();
        # It has its name when it listens: who waits for the name connects at once.
        bind($s, pack_sockaddr_un('own')) && listen($s, 5) or refused();
        chmod(0777, 'own');
        rename('own', 'server') or refused();
        print "listening\n"; sleep 600 },
    # A listener that takes nobody in, and whose queue is full: connect(2) waits for ever.
    listen_full => sub { my ($directory, $uid) = @_;
        chdir($directory) or refused();
        POSIX::setuid($uid) or refused();
        socket(my $s, PF_UNIX, SOCK_STREAM, 0) or refused();
        bind($s, pack_sockaddr_un('full')) && listen($s, 0) or refused();
        my @clients;
        while (1) {
            socket(my $c, PF_UNIX, SOCK_STREAM | 04000, 0) or refused();
            connect($c, pack_sockaddr_un('full')) or last;
            push @clients, $c;
        }
        rename('full', 'server') or refused();
        print "listening\n"; sleep 600 },
    lease => sub { open(my $file, '+>', $_[0]) or refused(); fcntl($file, 1024, 1) or refused(); done() },
    pidfd_namespace => sub { my $fd = call('pidfd_open', $$ + 0, 0); call('ioctl', $fd, 0xff04, 0); done() },
);

my $name = shift @ARGV;
($attempt{$name} // die "no attempt $name\n")->(@ARGV);
