//! The errors a refused call may return.

use std::fmt;

/// What a refused call returns. There is no zero here: a filter that returns errno 0 makes a refused
/// call look like a success.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Errno {
    /// Operation not permitted.
    Eperm,
    /// Permission denied.
    Eacces,
    /// Invalid argument: the answer of a kernel that does not know an option.
    Einval,
    /// Inappropriate ioctl for device: the answer of a device that does not know a request.
    Enotty,
    /// Function not implemented: callers fall back to an older call.
    Enosys,
    /// Protocol not available: the answer to an unknown socket option.
    Enoprotoopt,
    /// Protocol not supported.
    Eprotonosupport,
    /// Operation not supported.
    Eopnotsupp,
    /// Address family not supported by protocol.
    Eafnosupport,
}

impl Errno {
    /// Every error, in the order of their numbers.
    pub const ALL: [Self; 9] = [
        Self::Eperm,
        Self::Eacces,
        Self::Einval,
        Self::Enotty,
        Self::Enosys,
        Self::Enoprotoopt,
        Self::Eprotonosupport,
        Self::Eopnotsupp,
        Self::Eafnosupport,
    ];

    /// The number, the same on every supported architecture (`include/uapi/asm-generic/errno.h`).
    #[must_use]
    pub const fn number(self) -> u16 {
        match self {
            Self::Eperm => 1,
            Self::Eacces => 13,
            Self::Einval => 22,
            Self::Enotty => 25,
            Self::Enosys => 38,
            Self::Enoprotoopt => 92,
            Self::Eprotonosupport => 93,
            Self::Eopnotsupp => 95,
            Self::Eafnosupport => 97,
        }
    }

    /// The name, as errno(3) writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Eperm => "EPERM",
            Self::Eacces => "EACCES",
            Self::Einval => "EINVAL",
            Self::Enotty => "ENOTTY",
            Self::Enosys => "ENOSYS",
            Self::Enoprotoopt => "ENOPROTOOPT",
            Self::Eprotonosupport => "EPROTONOSUPPORT",
            Self::Eopnotsupp => "EOPNOTSUPP",
            Self::Eafnosupport => "EAFNOSUPPORT",
        }
    }

    /// Whether a refusal with this error is worth a record where its rule does not say. The others are the answers
    /// of a kernel that lacks something: programs ask, and do without.
    #[must_use]
    pub const fn is_told(self) -> bool {
        match self {
            Self::Eperm | Self::Eacces | Self::Eafnosupport => true,
            Self::Einval
            | Self::Enotty
            | Self::Enosys
            | Self::Enoprotoopt
            | Self::Eprotonosupport
            | Self::Eopnotsupp => false,
        }
    }

    /// The error called `name`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|errno| errno.name() == name)
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_c_library() {
        let libc_numbers = [
            libc::EPERM,
            libc::EACCES,
            libc::EINVAL,
            libc::ENOTTY,
            libc::ENOSYS,
            libc::ENOPROTOOPT,
            libc::EPROTONOSUPPORT,
            libc::EOPNOTSUPP,
            libc::EAFNOSUPPORT,
        ];
        assert_eq!(Errno::ALL.map(|errno| i32::from(errno.number())), libc_numbers);
    }

    #[test]
    fn every_name_leads_back_to_its_error() {
        for errno in Errno::ALL {
            assert_eq!(Errno::from_name(errno.name()), Some(errno));
        }
        assert_eq!(Errno::from_name("EOK"), None);
    }
}
