//! Symbolic constants of policy files. Only such as have the same value on every [`super::Arch`].

use super::{Constant, Width};
use crate::document::nearest;

/// Names and values, from the headers of Linux under `include/uapi`: `linux/socket.h` and
/// `linux/net.h` (AF, SOCK, MSG), `linux/in.h`, `linux/netlink.h`, `asm-generic/ioctls.h`, `linux/fs.h`,
/// `linux/prctl.h`, `asm-generic/mman-common.h`, `linux/sched.h`, `linux/stat.h`,
/// `asm-generic/fcntl.h`, and `arch/x86/include/uapi/asm/prctl.h` (ARCH).
const TABLE: &[(&str, u64)] = &[
    ("AF_UNIX", 1),
    ("AF_INET", 2),
    ("AF_INET6", 10),
    ("AF_NETLINK", 16),
    ("AF_PACKET", 17),
    ("AF_VSOCK", 40),
    ("SOCK_STREAM", 1),
    ("SOCK_DGRAM", 2),
    ("SOCK_RAW", 3),
    ("SOCK_SEQPACKET", 5),
    ("SOCK_PACKET", 10),
    ("SOCK_TYPE_MASK", 0xf),
    ("IPPROTO_TCP", 6),
    ("IPPROTO_UDP", 17),
    ("IPPROTO_MPTCP", 262),
    ("NETLINK_ROUTE", 0),
    ("SOL_SOCKET", 1),
    ("SOL_TCP", 6),
    ("SO_ATTACH_FILTER", 26),
    ("SO_ATTACH_BPF", 50),
    ("SO_ATTACH_REUSEPORT_CBPF", 51),
    ("SO_ATTACH_REUSEPORT_EBPF", 52),
    ("TCP_ULP", 31),
    ("MSG_OOB", 1),
    ("MSG_FASTOPEN", 0x2000_0000),
    ("TIOCSTI", 0x5412),
    ("TIOCLINUX", 0x541c),
    ("TIOCCONS", 0x541d),
    ("TIOCSETD", 0x5423),
    ("TIOCVHANGUP", 0x5437),
    ("FS_IOC_SETFLAGS", 0x4008_6602),
    ("FS_IOC32_SETFLAGS", 0x4004_6602),
    ("FS_IOC_SETVERSION", 0x4008_7602),
    ("FS_IOC_FSSETXATTR", 0x401c_5820),
    ("FS_IOC_ENABLE_VERITY", 0x4080_6685),
    ("FS_IOC_SET_ENCRYPTION_POLICY", 0x800c_6613),
    ("FS_IOC_ADD_ENCRYPTION_KEY", 0xc050_6617),
    ("FIFREEZE", 0xc004_5877),
    ("FITHAW", 0xc004_5878),
    ("FITRIM", 0xc018_5879),
    ("FICLONE", 0x4004_9409),
    ("FICLONERANGE", 0x4020_940d),
    ("FIDEDUPERANGE", 0xc018_9436),
    ("PROT_READ", 1),
    ("PROT_WRITE", 2),
    ("PROT_EXEC", 4),
    ("CLONE_NEWTIME", 0x80),
    ("CLONE_NEWNS", 0x2_0000),
    ("CLONE_NEWCGROUP", 0x200_0000),
    ("CLONE_NEWUTS", 0x400_0000),
    ("CLONE_NEWIPC", 0x800_0000),
    ("CLONE_NEWUSER", 0x1000_0000),
    ("CLONE_NEWPID", 0x2000_0000),
    ("CLONE_NEWNET", 0x4000_0000),
    ("S_IFMT", 0o17_0000),
    ("S_IFSOCK", 0o14_0000),
    ("S_IFREG", 0o10_0000),
    ("S_IFIFO", 0o1_0000),
    ("S_ISUID", 0o4000),
    ("S_ISGID", 0o2000),
    ("O_CREAT", 0o100),
    ("__O_TMPFILE", 0o2000_0000),
    ("F_DUPFD", 0),
    ("F_SETFL", 4),
    ("F_SETOWN", 8),
    ("F_SETSIG", 10),
    ("F_SETLEASE", 1024),
    ("F_NOTIFY", 1026),
    ("PR_SET_PDEATHSIG", 1),
    ("PR_GET_PDEATHSIG", 2),
    ("PR_GET_DUMPABLE", 3),
    ("PR_SET_DUMPABLE", 4),
    ("PR_GET_KEEPCAPS", 7),
    ("PR_SET_KEEPCAPS", 8),
    ("PR_SET_NAME", 15),
    ("PR_GET_NAME", 16),
    ("PR_GET_SECCOMP", 21),
    ("PR_SET_SECCOMP", 22),
    ("PR_CAPBSET_READ", 23),
    ("PR_CAPBSET_DROP", 24),
    ("PR_GET_SECUREBITS", 27),
    ("PR_SET_SECUREBITS", 28),
    ("PR_SET_TIMERSLACK", 29),
    ("PR_GET_TIMERSLACK", 30),
    ("PR_SET_MM", 35),
    ("PR_SET_CHILD_SUBREAPER", 36),
    ("PR_GET_CHILD_SUBREAPER", 37),
    ("PR_SET_NO_NEW_PRIVS", 38),
    ("PR_GET_NO_NEW_PRIVS", 39),
    ("PR_SET_THP_DISABLE", 41),
    ("PR_GET_THP_DISABLE", 42),
    ("PR_CAP_AMBIENT", 47),
    ("PR_CAP_AMBIENT_IS_SET", 1),
    ("PR_CAP_AMBIENT_RAISE", 2),
    ("PR_CAP_AMBIENT_LOWER", 3),
    ("PR_CAP_AMBIENT_CLEAR_ALL", 4),
    ("PR_SVE_SET_VL", 50),
    ("PR_SVE_GET_VL", 51),
    ("PR_GET_SPECULATION_CTRL", 52),
    ("PR_SET_SPECULATION_CTRL", 53),
    ("PR_PAC_RESET_KEYS", 54),
    ("PR_SET_TAGGED_ADDR_CTRL", 55),
    ("PR_GET_TAGGED_ADDR_CTRL", 56),
    ("PR_SET_IO_FLUSHER", 57),
    ("PR_SET_SYSCALL_USER_DISPATCH", 59),
    ("PR_PAC_SET_ENABLED_KEYS", 60),
    ("PR_PAC_GET_ENABLED_KEYS", 61),
    ("PR_SCHED_CORE", 62),
    ("PR_SME_SET_VL", 63),
    ("PR_SME_GET_VL", 64),
    ("PR_SET_MDWE", 65),
    ("PR_GET_MDWE", 66),
    ("PR_SET_MEMORY_MERGE", 67),
    ("PR_GET_SHADOW_STACK_STATUS", 74),
    ("PR_SET_SHADOW_STACK_STATUS", 75),
    ("PR_LOCK_SHADOW_STACK_STATUS", 76),
    ("PR_GET_AUXV", 0x4155_5856),
    ("PR_SET_VMA", 0x5356_4d41),
    ("PR_SET_PTRACER", 0x5961_6d61),
    ("ARCH_SET_GS", 0x1001),
    ("ARCH_SET_FS", 0x1002),
    ("ARCH_GET_FS", 0x1003),
    ("ARCH_GET_GS", 0x1004),
    ("ARCH_GET_XCOMP_SUPP", 0x1021),
    ("ARCH_GET_XCOMP_PERM", 0x1022),
    ("ARCH_REQ_XCOMP_PERM", 0x1023),
    ("ARCH_SHSTK_ENABLE", 0x5001),
    ("ARCH_SHSTK_DISABLE", 0x5002),
    ("ARCH_SHSTK_LOCK", 0x5003),
    ("ARCH_SHSTK_STATUS", 0x5005),
];

/// Why a value was not understood: cause and hint.
pub(super) type Misunderstood = (String, String);

/// Reads a number (decimal, `0x…`, `0o…`), a constant, or several of them joined by `|`.
pub(super) fn parse(text: &str, width: Width) -> Result<Constant, Misunderstood> {
    let mut value = 0;
    for part in text.split('|').map(str::trim) {
        value |= number(part).or_else(|| named(part)).ok_or_else(|| unknown(part))?;
    }
    if value & width.mask() != value {
        let hint = "compare 64 bits, if the kernel reads all of the argument";
        return Err((format!("`{text}` does not fit in 32 bits"), hint.to_owned()));
    }
    Ok(Constant { text: text.to_owned(), value })
}

fn number(text: &str) -> Option<u64> {
    let (digits, radix) = match text.get(..2) {
        Some("0x") => (&text[2..], 16),
        Some("0o") => (&text[2..], 8),
        Some(_) | None => (text, 10),
    };
    let all_digits = digits.chars().all(|digit| digit.is_digit(radix));
    if all_digits { u64::from_str_radix(digits, radix).ok() } else { None }
}

fn named(name: &str) -> Option<u64> {
    TABLE.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
}

fn unknown(part: &str) -> Misunderstood {
    let names: Vec<&str> = TABLE.iter().map(|(name, _)| *name).collect();
    let hint = nearest(part, &names).map_or_else(
        || "write a number (3, 0x3, 0o3), or a constant listed in docs/seccomp.md".to_owned(),
        |name| format!("did you mean `{name}`?"),
    );
    (format!("`{part}` is neither a number nor a known constant"), hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Result<u64, Misunderstood> {
        parse(text, Width::Bits64).map(|constant| constant.value)
    }

    #[test]
    fn reads_numbers_and_names() {
        assert_eq!(value("12"), Ok(12));
        assert_eq!(value("0x5412"), Ok(0x5412));
        assert_eq!(value("0o4000 | S_ISGID"), Ok(0o6000));
        assert_eq!(value("0xffffffffffffffff"), Ok(u64::MAX));
    }

    #[test]
    fn refuses_what_is_neither() {
        for text in ["", "|", "AF_UNIX|", "0x", "+1", "-1", "1 2", "0b1", "99999999999999999999"] {
            assert!(value(text).is_err(), "{text:?}");
        }
        assert!(value("AF_UNIXX").unwrap_err().1.contains("AF_UNIX"));
    }

    #[test]
    fn refuses_what_32_bits_cannot_hold() {
        assert!(parse("0xffffffff", Width::Bits32).is_ok());
        assert!(parse("0x100000000", Width::Bits32).is_err());
    }

    #[test]
    fn names_are_unique_and_documented() {
        let manual = include_str!("../../../docs/seccomp.md");
        for (index, (name, _)) in TABLE.iter().enumerate() {
            assert!(TABLE[..index].iter().all(|(other, _)| other != name), "{name} twice");
            assert!(manual.contains(&format!("`{name}`")), "{name} is not in docs/seccomp.md");
        }
    }

    /// `libc` calls for each constant it has; macro, because the C types differ.
    macro_rules! same_as_libc {
        ($($name:ident)*) => {
            $(assert_eq!(
                named(stringify!($name)),
                u64::try_from(libc::$name).ok(),
                stringify!($name)
            );)*
        };
    }

    #[test]
    fn values_are_those_of_the_c_library() {
        same_as_libc! {
            AF_UNIX AF_INET AF_INET6 AF_NETLINK AF_PACKET AF_VSOCK SOCK_STREAM SOCK_DGRAM SOCK_RAW
            SOCK_SEQPACKET IPPROTO_TCP IPPROTO_UDP IPPROTO_MPTCP NETLINK_ROUTE
            SOL_SOCKET SOL_TCP SO_ATTACH_FILTER TCP_ULP MSG_OOB MSG_FASTOPEN TIOCSTI TIOCLINUX TIOCCONS
            PROT_READ PROT_WRITE PROT_EXEC CLONE_NEWNS CLONE_NEWCGROUP CLONE_NEWUTS CLONE_NEWIPC
            CLONE_NEWUSER CLONE_NEWPID CLONE_NEWNET S_IFMT S_IFSOCK S_IFREG S_IFIFO S_ISUID S_ISGID
            O_CREAT F_DUPFD F_SETFL F_SETOWN F_SETLEASE F_NOTIFY PR_SET_PDEATHSIG
            PR_GET_PDEATHSIG PR_GET_DUMPABLE PR_SET_DUMPABLE PR_GET_KEEPCAPS PR_SET_KEEPCAPS
            PR_SET_NAME PR_GET_NAME PR_GET_SECCOMP PR_SET_SECCOMP PR_CAPBSET_READ PR_CAPBSET_DROP
            PR_GET_SECUREBITS PR_SET_SECUREBITS PR_SET_TIMERSLACK PR_GET_TIMERSLACK PR_SET_MM
            PR_SET_CHILD_SUBREAPER PR_GET_CHILD_SUBREAPER PR_SET_NO_NEW_PRIVS PR_GET_NO_NEW_PRIVS
            PR_SET_THP_DISABLE PR_GET_THP_DISABLE PR_CAP_AMBIENT PR_CAP_AMBIENT_IS_SET
            PR_CAP_AMBIENT_RAISE PR_CAP_AMBIENT_LOWER PR_CAP_AMBIENT_CLEAR_ALL
            PR_GET_SPECULATION_CTRL PR_SET_SPECULATION_CTRL PR_SET_PTRACER PR_SET_VMA PR_SET_MDWE
            PR_GET_MDWE PR_SCHED_CORE
        }
    }
}
