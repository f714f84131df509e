/*
 * The bare floor of a launch: every step of the jail, in the order cellblock takes them, with nothing around it.
 * No profile, no plan, no checks read back from outside: what is left is what the kernel asks for these walls.
 * scripts/bench builds it, runs it against cellblock and reports cellblock's time as a ratio of this one.
 *
 *   floor [OPTION]... -- COMMAND [ARG]...
 *     --bind PATH      show PATH read-only inside (a symbolic link is made again); may be given many times
 *     --cgroup DIR     make a cgroup of our own below DIR (a cgroup2 folder) and start the jail in it
 *     --no-init        run COMMAND itself as PID 1, without a small init that starts and reaps it
 *     --self-map       let the jail make its user namespace itself (the namespace's owner is then the agent, not root)
 *     --timings        print "timing STEP MICROSECONDS" for every step on standard error
 *     --print-filter   write the seccomp program to standard output and end
 *
 * The exit status is COMMAND's. It needs root. The technique is the fastest known for a single launch:
 * clone3(CLONE_VM | CLONE_VFORK | CLONE_INTO_CGROUP), the new mount API, a balanced filter, a fresh static init.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* The kernel's headers lag behind the kernel and musl brings none: what the launch needs stands here. */
struct clone_args {
    uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup;
};
struct mount_attr {
    uint64_t attr_set, attr_clr, propagation, userns_fd;
};
struct landlock_ruleset {
    uint64_t fs, net, scoped;
};
struct landlock_path {
    uint64_t access;
    int32_t fd;
} __attribute__((packed));
struct bpf_insn {
    uint16_t code;
    uint8_t jt, jf;
    uint32_t k;
};
struct bpf_program {
    unsigned short len;
    struct bpf_insn *insns;
};
enum {
    NR_OPEN_TREE = 428, NR_MOVE_MOUNT = 429, NR_FSOPEN = 430, NR_FSCONFIG = 431, NR_FSMOUNT = 432, NR_CLONE3 = 435,
    NR_CLOSE_RANGE = 436, NR_MOUNT_SETATTR = 442, NR_LANDLOCK_CREATE = 444, NR_LANDLOCK_ADD = 445, NR_LANDLOCK_RESTRICT = 446,
};
enum { RDONLY = 1, NOSUID = 2, NODEV = 4, NOEXEC = 8 };                  /* MOUNT_ATTR_* */
enum { SET_FLAG, SET_STRING, FS_CREATE = 6 };                            /* FSCONFIG_* */
enum { FROM_EMPTY = 4, TO_EMPTY = 0x40 };                                /* MOVE_MOUNT_*_EMPTY_PATH */
enum { OPEN_TREE_COPY = 1, EMPTY_PATH = 0x1000, NO_FOLLOW = 0x100, RECURSIVE = 0x8000 };
#define CLONE_PIDFD_ 0x1000ULL
#define CLONE_INTO_CGROUP_ 0x200000000ULL

#define AGENT 70001
#define AGENT_MAP "70001 70001 1"
#define HOME "home/agent"
#define MAX_BINDS 64
#define MAX_STEPS 32

static struct {
    const char *binds[MAX_BINDS];
    int bind_count, init, self_map, timings;
    const char *cgroup;
    char **command;
} option = {.init = 1};

/* Shared by launcher and jail: CLONE_VM makes them one memory until the jail execs. */
static struct { const char *name; struct timespec at; } step_log[MAX_STEPS];
static int steps, binary_fd, user_fd = -1;
static pid_t helper;
static char helper_stack[4096] __attribute__((aligned(16)));
static char jail_stack[65536] __attribute__((aligned(16)));

static void step(const char *name)
{
    if (option.timings && steps < MAX_STEPS) {
        step_log[steps].name = name;
        clock_gettime(CLOCK_MONOTONIC, &step_log[steps++].at);
    }
}

static void print_timings(void)
{
    for (int i = 1; i < steps; i++) {
        struct timespec a = step_log[i - 1].at, b = step_log[i].at;
        fprintf(stderr, "timing %s %.1f\n", step_log[i].name, (b.tv_sec - a.tv_sec) * 1e6 + (b.tv_nsec - a.tv_nsec) / 1e3);
    }
}

/* Every call goes through here: the first one that fails ends the process that made it. */
static long must(long result, const char *what)
{
    if (result < 0) {
        dprintf(2, "floor: cannot %s: %s\n", what, strerror(errno));
        _exit(125);
    }
    return result;
}

/* ---- mounts ---- */

static int new_mount(const char *type, const char *const *options, unsigned attr)
{
    int context = must(syscall(NR_FSOPEN, type, 1), type);
    for (; options && *options; options += 2)
        must(syscall(NR_FSCONFIG, context, SET_STRING, options[0], options[1], 0), options[0]);
    must(syscall(NR_FSCONFIG, context, FS_CREATE, 0, 0, 0), type);
    int mount = must(syscall(NR_FSMOUNT, context, 1, attr), "make a mount");
    close(context);
    return mount;
}

static void attach(int mount, int root, const char *at)
{
    must(syscall(NR_MOVE_MOUNT, mount, "", root, at, FROM_EMPTY), at);
}

static int copy_of(int at, const char *path, unsigned flags)
{
    return must(syscall(NR_OPEN_TREE, at, path, OPEN_TREE_COPY | O_CLOEXEC | flags), path);
}

static void set_attr(int mount, unsigned attr, unsigned flags)
{
    struct mount_attr a = {.attr_set = attr};
    must(syscall(NR_MOUNT_SETATTR, mount, "", EMPTY_PATH | flags, &a, sizeof a), "set mount attributes");
}

/* Makes the folders above PATH, and PATH itself: a folder, or an empty file to mount a file on. */
static void make_place(int root, const char *path, int folder)
{
    char part[4096];
    snprintf(part, sizeof part, "%s", path);
    for (char *slash = strchr(part, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        mkdirat(root, part, 0755);
        *slash = '/';
    }
    if (folder)
        mkdirat(root, path, 0755);
    else
        mknodat(root, path, S_IFREG | 0444, 0);
}

static void show(int root, const char *path)
{
    struct stat at;
    char link[4096];
    must(lstat(path, &at), path);
    if (S_ISLNK(at.st_mode)) {
        link[must(readlink(path, link, sizeof link - 1), path)] = 0;
        must(symlinkat(link, root, path + 1), path);
        return;
    }
    int mount = copy_of(AT_FDCWD, path, NO_FOLLOW);
    make_place(root, path + 1, S_ISDIR(at.st_mode));
    set_attr(mount, RDONLY | NOSUID | NODEV, 0);
    attach(mount, root, path + 1);
    close(mount);
}

static int make_dev(int root)
{
    static const struct { const char *name; int minor_, major_; } nodes[] = {
        {"null", 3, 1}, {"zero", 5, 1}, {"full", 7, 1}, {"random", 8, 1}, {"urandom", 9, 1}, {"tty", 0, 5}};
    static const char *const links[][2] = {{"pts/ptmx", "ptmx"}, {"/proc/self/fd", "fd"}, {"/proc/self/fd/0", "stdin"},
                                           {"/proc/self/fd/1", "stdout"}, {"/proc/self/fd/2", "stderr"}};
    static const char *const size[] = {"size", "64k", "mode", "0755", NULL};
    static const char *const pts_options[] = {"ptmxmode", "0666", "mode", "0620", "max", "64", NULL};
    int dev = new_mount("tmpfs", size, NOSUID | NOEXEC);
    for (unsigned i = 0; i < sizeof nodes / sizeof *nodes; i++)
        must(mknodat(dev, nodes[i].name, S_IFCHR | 0666, makedev(nodes[i].major_, nodes[i].minor_)), nodes[i].name);
    for (unsigned i = 0; i < sizeof links / sizeof *links; i++)
        must(symlinkat(links[i][0], dev, links[i][1]), links[i][1]);
    mkdirat(dev, "pts", 0755);
    mkdirat(root, "dev", 0755);
    attach(dev, root, "dev");
    int pts = new_mount("devpts", pts_options, NOSUID | NOEXEC);
    attach(pts, root, "dev/pts");
    close(pts);
    return dev;
}

/* proc of the jail's own pid namespace: masked, read-only. Returns a writable copy nobody else sees (closed by exec). */
static int make_proc(int root, int dev)
{
    static const char *const files[] = {"kcore", "keys", "timer_list", "sysrq-trigger", "kallsyms", "kmsg", "kpagecount",
                                        "kpageflags", "kpagecgroup", "interrupts"};
    static const char *const folders[] = {"acpi", "scsi", "driver"};
    int proc = new_mount("proc", NULL, NOSUID | NODEV | NOEXEC);
    mkdirat(root, "proc", 0555);
    attach(proc, root, "proc");
    int writable = copy_of(proc, "", EMPTY_PATH);
    set_attr(proc, RDONLY, 0);
    for (unsigned i = 0; i < sizeof files / sizeof *files; i++) {
        if (faccessat(proc, files[i], F_OK, 0))
            continue;
        int null = copy_of(dev, "null", 0);
        attach(null, proc, files[i]);
        close(null);
    }
    for (unsigned i = 0; i < sizeof folders / sizeof *folders; i++) {
        if (faccessat(proc, folders[i], F_OK, 0))
            continue;
        int empty = new_mount("tmpfs", NULL, RDONLY | NOSUID | NODEV | NOEXEC);
        attach(empty, proc, folders[i]);
        close(empty);
    }
    close(proc);
    return writable;
}

static void write_file(int at, const char *path, const char *text)
{
    int fd = must(openat(at, path, O_WRONLY | O_CLOEXEC), path);
    must(write(fd, text, strlen(text)), path);
    close(fd);
}

/* ---- user ---- */

/*
 * Makes the user namespace the jail enters last. It is owned by root and has a map of one id, written from here.
 * The helper exists to be its first member and has nothing to do: it exits at once, and as long as nobody waits for it
 * its /proc folder can still be written and opened. It is reaped with the jail.
 */
static long clone3_on(struct clone_args *args, int (*run)(void));
static int leave(void) { return 0; }

static void make_user_namespace(void)
{
    char path[64];
    struct clone_args args = {.flags = CLONE_VM | CLONE_NEWUSER, .exit_signal = SIGCHLD,
                              .stack = (uintptr_t)helper_stack, .stack_size = sizeof helper_stack};
    helper = must(clone3_on(&args, leave), "start the helper of the user namespace");
    snprintf(path, sizeof path, "/proc/%d", helper);
    int proc = must(open(path, O_PATH | O_DIRECTORY | O_CLOEXEC), path);
    write_file(proc, "setgroups", "deny");
    write_file(proc, "uid_map", AGENT_MAP);
    write_file(proc, "gid_map", AGENT_MAP);
    user_fd = must(openat(proc, "ns/user", O_RDONLY | O_CLOEXEC), "open the user namespace");
    close(proc);
}

/* The other way: the agent's own uid makes the namespace. The map is allowed because it names only the writer's id. */
static void enter_own_user_namespace(int proc)
{
    must(prctl(PR_SET_KEEPCAPS, 1), "keep capabilities");
    must(syscall(SYS_setresgid, AGENT, AGENT, AGENT), "set the gid");
    must(syscall(SYS_setresuid, AGENT, AGENT, AGENT), "set the uid");
    must(prctl(PR_SET_DUMPABLE, 1), "own the map files");
    must(unshare(CLONE_NEWUSER), "make a user namespace");
    write_file(proc, "self/setgroups", "deny");
    write_file(proc, "self/uid_map", AGENT_MAP);
    write_file(proc, "self/gid_map", AGENT_MAP);
}

static void become_agent(int proc)
{
    struct { uint32_t version; int pid; } header = {0x20080522, 0};
    uint32_t none[6] = {0};
    must(syscall(SYS_setgroups, 0, NULL), "drop the groups");
    if (option.self_map)
        enter_own_user_namespace(proc);
    else
        must(setns(user_fd, CLONE_NEWUSER), "enter the user namespace");
    write_file(proc, "sys/user/max_user_namespaces", "0");
    close(proc);
    for (int cap = 0; prctl(PR_CAPBSET_READ, cap) >= 0; cap++)
        must(prctl(PR_CAPBSET_DROP, cap), "drop a capability from the bounding set");
    must(prctl(PR_SET_SECUREBITS, 0xef), "set the securebits"); /* all of them, locked; keep-caps locked at 0 */
    must(syscall(SYS_setresgid, AGENT, AGENT, AGENT), "set the gid");
    must(syscall(SYS_setresuid, AGENT, AGENT, AGENT), "set the uid");
    must(syscall(SYS_capset, &header, none), "drop the capabilities");
}

/* ---- Landlock ---- */

#define FS_READ (1ULL << 2 | 1ULL << 3)
#define FS_EXECUTE (1ULL << 0)
#define FS_FILE (1ULL << 0 | 1ULL << 1 | 1ULL << 2 | 1ULL << 14 | 1ULL << 15) /* the rights a file can have */

static void allow(int ruleset, int fd, uint64_t access, const char *what)
{
    struct landlock_path rule = {access, fd};
    must(syscall(NR_LANDLOCK_ADD, ruleset, 1, &rule, 0), what);
}

static void allow_path(int ruleset, const char *path, uint64_t access)
{
    struct stat at;
    int fd = must(open(path, O_PATH | O_CLOEXEC), path);
    must(fstat(fd, &at), path);
    allow(ruleset, fd, S_ISDIR(at.st_mode) ? access : access & FS_FILE, path);
    close(fd);
}

static void restrict_files(void)
{
    long abi = must(syscall(NR_LANDLOCK_CREATE, NULL, 0, 1), "ask for Landlock");
    uint64_t all = (1ULL << (abi >= 5 ? 16 : abi >= 3 ? 15 : abi >= 2 ? 14 : 13)) - 1;
    struct landlock_ruleset handled = {all, abi >= 4 ? 3 : 0, abi >= 6 ? 3 : 0};
    size_t size = abi >= 6 ? 24 : abi >= 4 ? 16 : 8;
    int ruleset = must(syscall(NR_LANDLOCK_CREATE, &handled, size, 0), "make a Landlock ruleset");
    allow(ruleset, binary_fd, FS_EXECUTE | 1ULL << 2, "allow the init");
    for (int i = 0; i < option.bind_count; i++)
        allow_path(ruleset, option.binds[i], FS_READ | FS_EXECUTE);
    allow_path(ruleset, "/", 1ULL << 3); /* folders may be listed */
    allow_path(ruleset, "/proc", FS_READ);
    allow_path(ruleset, "/dev", (FS_READ | FS_FILE) & all & ~FS_EXECUTE);
    allow_path(ruleset, "/tmp", all & ~FS_EXECUTE);
    allow_path(ruleset, "/" HOME, all & ~FS_EXECUTE);
    must(syscall(NR_LANDLOCK_RESTRICT, ruleset, 0), "enforce Landlock");
    close(ruleset);
}

/* ---- seccomp ---- */

#if defined __x86_64__
#define AUDIT_ARCH 0xc000003eU
#elif defined __aarch64__
#define AUDIT_ARCH 0xc00000b7U
#else
#error "the floor knows x86_64 and aarch64 only"
#endif
enum { LOAD = 0x20, JUMP = 0x05, EQUAL = 0x15, AT_LEAST = 0x35, RETURN = 0x06 };
#define ALLOW 0x7fff0000U
#define FAIL(e) (0x00050000U | (e))
#define KILL 0x80000000U

/* What an agent never needs. Everything else up to LAST_CALL is allowed; numbers above it are unknown. */
static const int refused[] = {
    SYS_ptrace, SYS_mount, SYS_umount2, SYS_pivot_root, SYS_chroot, SYS_swapon, SYS_swapoff, SYS_reboot, SYS_sethostname,
    SYS_setdomainname, SYS_init_module, SYS_delete_module, SYS_quotactl, SYS_add_key, SYS_request_key, SYS_keyctl, SYS_unshare,
    SYS_setns, SYS_acct, SYS_settimeofday, SYS_clock_settime, SYS_adjtimex, SYS_clock_adjtime, SYS_syslog, SYS_kexec_load,
    SYS_perf_event_open, SYS_fanotify_init, SYS_fanotify_mark, SYS_name_to_handle_at, SYS_open_by_handle_at, SYS_process_vm_readv,
    SYS_process_vm_writev, SYS_kcmp, SYS_finit_module, SYS_bpf, SYS_userfaultfd, SYS_io_setup, SYS_migrate_pages, SYS_move_pages,
    SYS_mbind, SYS_set_mempolicy, SYS_lookup_dcookie, SYS_nfsservctl, SYS_vhangup, SYS_pidfd_getfd, 425, 426, 427, NR_OPEN_TREE,
    NR_MOVE_MOUNT, NR_FSOPEN, NR_FSCONFIG, NR_FSMOUNT, 433, NR_CLONE3, NR_MOUNT_SETATTR, 443, 447};
#define LAST_CALL 450

static struct bpf_insn program[1024];
static int length;
static struct { uint32_t from, action; } ranges[256];
static int range_count;

static void emit(uint16_t code, uint8_t jt, uint8_t jf, uint32_t k)
{
    program[length++] = (struct bpf_insn){code, jt, jf, k};
}

static int by_number(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }

/* Numbers from FROM on get ACTION; neighbours with the same action become one range. */
static void range(uint32_t from, uint32_t action)
{
    if (range_count && ranges[range_count - 1].from == from)
        range_count--;
    if (!range_count || ranges[range_count - 1].action != action)
        ranges[range_count++] = (typeof(*ranges)){from, action};
}

/* The cost of installing is the depth, for the kernel walks the program once per number: a balanced tree. */
static void tree(int low, int high)
{
    if (high - low == 1) {
        emit(RETURN, 0, 0, ranges[low].action);
        return;
    }
    int middle = (low + high) / 2, compare = length;
    emit(AT_LEAST, 0, 0, ranges[middle].from);
    tree(low, middle);
    program[compare].jt = must(length - compare - 1 < 256 ? length - compare - 1 : -1, "reach the other half of the filter");
    tree(middle, high);
}

/* For one call: the low 32 bits of argument ARG must not be one of two values. */
static void check_argument(uint32_t call, int arg, uint32_t a, uint32_t b)
{
    emit(EQUAL, 0, 5, call);
    emit(LOAD, 0, 0, 16 + 8 * arg);
    emit(EQUAL, 1, 0, a);
    emit(EQUAL, 0, 1, b);
    emit(RETURN, 0, 0, FAIL(EPERM));
    emit(RETURN, 0, 0, ALLOW);
}

static void build_filter(void)
{
    int count = sizeof refused / sizeof *refused, sorted[sizeof refused / sizeof *refused];
    memcpy(sorted, refused, sizeof refused);
    qsort(sorted, count, sizeof *sorted, by_number);
    range(0, ALLOW);
    for (int i = 0; i < count; i++) {
        range(sorted[i], sorted[i] == NR_CLONE3 ? FAIL(ENOSYS) : FAIL(EPERM));
        range(sorted[i] + 1, ALLOW);
    }
    range(LAST_CALL + 1, FAIL(ENOSYS)); /* unknown calls, and the x32 numbers of x86_64 */
    emit(LOAD, 0, 0, 4);
    emit(EQUAL, 1, 0, AUDIT_ARCH);
    emit(RETURN, 0, 0, KILL);
    emit(LOAD, 0, 0, 0);
    check_argument(SYS_ioctl, 1, 0x5412, 0x541c); /* TIOCSTI, TIOCLINUX */
    check_argument(SYS_socket, 0, 16, 40);        /* AF_NETLINK, AF_VSOCK */
    tree(0, range_count);
}

/* ---- the jail ---- */

static void set_limits(void)
{
    static const struct { int what; rlim_t value; } limits[] = {{RLIMIT_CORE, 0}, {RLIMIT_NOFILE, 4096},
        {RLIMIT_FSIZE, 1ULL << 34}, {RLIMIT_NPROC, 512}, {RLIMIT_MEMLOCK, 65536}, {RLIMIT_MSGQUEUE, 65536}};
    for (unsigned i = 0; i < sizeof limits / sizeof *limits; i++) {
        struct rlimit limit = {limits[i].value, limits[i].value};
        must(setrlimit(limits[i].what, &limit), "set a limit");
    }
}

static int make_root(void)
{
    static const char *const root_options[] = {"size", "1m", "mode", "0755", NULL};
    static const char *const tmp_options[] = {"size", "256m", "nr_inodes", "65536", "mode", "1777", NULL};
    static const char *const home_options[] = {"size", "256m", "nr_inodes", "65536", "mode", "0700", "uid", "70001",
                                               "gid", "70001", NULL};
    struct mount_attr private = {.propagation = 1 << 18};
    must(syscall(NR_MOUNT_SETATTR, AT_FDCWD, "/", RECURSIVE, &private, sizeof private), "make the mounts private");
    int root = new_mount("tmpfs", root_options, NOSUID | NODEV);
    attach(root, AT_FDCWD, "/tmp");
    for (int i = 0; i < option.bind_count; i++)
        show(root, option.binds[i]);
    step("root");
    mkdirat(root, "tmp", 0755);
    int tmp = new_mount("tmpfs", tmp_options, NOSUID | NODEV | NOEXEC);
    attach(tmp, root, "tmp");
    make_place(root, HOME, 1);
    int home = new_mount("tmpfs", home_options, NOSUID | NODEV | NOEXEC);
    attach(home, root, HOME);
    close(tmp);
    close(home);
    step("tmp-home");
    return root;
}

static void enter_root(int root)
{
    set_attr(root, RDONLY, 0);
    must(fchdir(root), "enter the new root");
    must(syscall(SYS_pivot_root, ".", "."), "pivot to the new root");
    must(syscall(SYS_umount2, ".", 2 /* MNT_DETACH */), "let the old root go");
    must(chdir("/" HOME), "enter the home");
}

static int jail(void)
{
    static char *environment[] = {"PATH=/usr/bin:/bin", "HOME=/" HOME, "USER=agent", "LANG=C.UTF-8", "TERM=xterm-256color", NULL};
    char *init[MAX_BINDS] = {"floor-init"};
    step("clone3");
    int root = make_root();
    int dev = make_dev(root);
    step("dev");
    int proc = make_proc(root, dev);
    close(dev);
    step("proc");
    enter_root(root);
    close(root);
    step("pivot");
    must(sethostname("cellblock", 9), "set the host name");
    write_file(proc, "sys/vm/memfd_noexec", "2");
    write_file(proc, "self/oom_score_adj", "500");
    set_limits();
    must(setsid(), "start a session");
    must(syscall(NR_CLOSE_RANGE, 3, ~0U, 4 /* CLOSE_RANGE_CLOEXEC */), "close the descriptors");
    step("limits");
    become_agent(proc);
    must(syscall(SYS_keyctl, 1, NULL), "join a new session keyring");
    must(prctl(PR_SET_PDEATHSIG, SIGKILL), "die with the launcher");
    must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "set no_new_privs");
    step("identity");
    restrict_files();
    step("landlock");
    struct bpf_program filter = {length, program};
    must(syscall(SYS_seccomp, 1, 0, &filter), "install the filter");
    step("seccomp");
    if (!option.init)
        must(execve(option.command[0], option.command, environment), option.command[0]);
    for (int i = 0; option.command[i] && i < MAX_BINDS - 2; i++)
        init[i + 1] = option.command[i];
    must(syscall(SYS_execveat, binary_fd, "", init, environment, EMPTY_PATH), "start the init");
    return 125;
}

/* PID 1 of the jail, a fresh exec of this binary behind every wall: starts the command, reaps, passes its status on. */
static int run_init(char **command)
{
    int status;
    must(prctl(PR_SET_DUMPABLE, 0), "be closed to the jail's other processes");
    pid_t child = vfork();
    if (child == 0) {
        execve(command[0], command, environ);
        _exit(errno == ENOENT ? 127 : 126);
    }
    must(child, "start the command");
    for (;;) {
        pid_t ended = must(wait(&status), "wait for the command");
        if (ended == child)
            return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
}

/* ---- the launcher ---- */

/* clone3 whose child runs on its own stack and never returns here. */
static long clone3_on(struct clone_args *args, int (*run)(void))
{
    long result;
#if defined __x86_64__
    register void *entry __asm__("r8") = (void *)run;
    __asm__ volatile("syscall\n test %%rax, %%rax\n jnz 1f\n xor %%ebp, %%ebp\n call *%%r8\n mov %%eax, %%edi\n mov $60, %%eax\n syscall\n1:"
                     : "=a"(result) : "0"((long)NR_CLONE3), "D"(args), "S"(sizeof *args), "r"(entry) : "rcx", "r11", "memory");
#else
    register long x8 __asm__("x8") = NR_CLONE3;
    register long x0 __asm__("x0") = (long)args;
    register long x1 __asm__("x1") = sizeof *args;
    register void *entry __asm__("x9") = (void *)run;
    __asm__ volatile("svc 0\n cbnz x0, 1f\n mov x29, xzr\n blr x9\n mov x8, #93\n svc 0\n1:"
                     : "+r"(x0) : "r"(x8), "r"(x1), "r"(entry) : "x30", "memory");
    result = x0;
#endif
    if (result < 0) {
        errno = -result;
        return -1;
    }
    return result;
}

static long start_jail(int *pidfd, const char *cgroup)
{
    struct clone_args args = {.flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD_ | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC |
                                       CLONE_NEWUTS | CLONE_NEWCGROUP,
                              .pidfd = (uintptr_t)pidfd, .exit_signal = SIGCHLD,
                              .stack = (uintptr_t)jail_stack, .stack_size = sizeof jail_stack};
    if (option.cgroup) {
        must(mkdir(cgroup, 0755), cgroup);
        args.cgroup = must(open(cgroup, O_RDONLY | O_DIRECTORY | O_CLOEXEC), cgroup);
        args.flags |= CLONE_INTO_CGROUP_;
        step("cgroup");
    }
    long pid = must(clone3_on(&args, jail), "start the jail");
    if (option.cgroup)
        close(args.cgroup);
    return pid;
}

static int launch(void)
{
    int pidfd = -1, status = 0;
    char cgroup[4096];
    snprintf(cgroup, sizeof cgroup, "%s/floor-%d", option.cgroup, getpid());
    step("begin");
    binary_fd = must(open("/proc/self/exe", O_PATH | O_CLOEXEC), "open the init");
    build_filter();
    step("prepare");
    if (!option.self_map)
        make_user_namespace();
    step("userns");
    long pid = start_jail(&pidfd, cgroup);
    step("exec");
    must(waitpid(pid, &status, 0), "wait for the jail");
    step("run");
    if (helper)
        must(waitpid(helper, NULL, 0), "wait for the helper of the user namespace");
    if (option.cgroup)
        must(rmdir(cgroup), cgroup);
    step("remove");
    print_timings();
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int print_filter(void)
{
    build_filter();
    return fwrite(program, sizeof *program, length, stdout) == (size_t)length ? 0 : 1;
}

int main(int argc, char **argv)
{
    if (!strcmp(argv[0], "floor-init"))
        return run_init(argv + 1);
    int i = 1;
    for (; i < argc && strcmp(argv[i], "--"); i++) {
        if (!strcmp(argv[i], "--bind") && i + 1 < argc && option.bind_count < MAX_BINDS)
            option.binds[option.bind_count++] = argv[++i];
        else if (!strcmp(argv[i], "--cgroup") && i + 1 < argc)
            option.cgroup = argv[++i];
        else if (!strcmp(argv[i], "--no-init"))
            option.init = 0;
        else if (!strcmp(argv[i], "--self-map"))
            option.self_map = 1;
        else if (!strcmp(argv[i], "--timings"))
            option.timings = 1;
        else if (!strcmp(argv[i], "--print-filter"))
            return print_filter();
        else
            break;
    }
    if (i + 1 >= argc || strcmp(argv[i], "--")) {
        fprintf(stderr, "usage: floor [--bind PATH]... [--cgroup DIR] [--no-init] [--self-map] [--timings] -- COMMAND [ARG]...\n");
        return 125;
    }
    option.command = argv + i + 1;
    return launch();
}
