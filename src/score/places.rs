//! Places of a host that matter more than others, and what it costs to show them.

/// What of a place an entry has to show for the place to count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// All of it: what is inside is as any other directory.
    Whole,
    /// All of it to read, anything inside to write.
    InsideToWrite,
    /// Anything inside.
    Inside,
}

/// A place, what it costs to read and to write it in tenths, and what is there.
struct Sensitive {
    paths: &'static [&'static str],
    reach: Reach,
    read: u16,
    write: u16,
    what: &'static str,
}

const fn place(
    paths: &'static [&'static str],
    reach: Reach,
    [read, write]: [u16; 2],
    what: &'static str,
) -> Sensitive {
    Sensitive { paths, reach, read, write, what }
}

use Reach::{Inside, InsideToWrite, Whole};

/// `~` is any home. Where more than one counts, the innermost does, and whatever lies in the entry.
const PLACES: &[Sensitive] = &[
    place(&["/"], Whole, [90, 100], "all of the host"),
    // Who writes programs, settings or boot files of the host is root at the next run, start or boot.
    place(&["/boot"], Inside, [1, 80], "what the machine starts with"),
    place(
        &["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/opt"],
        InsideToWrite,
        [0, 80],
        "programs that everybody runs",
    ),
    place(&["/etc"], InsideToWrite, [10, 80], "settings of the host and of its services"),
    place(&["/etc/shadow", "/etc/gshadow"], Inside, [30, 80], "password hashes"),
    place(&["/etc/sudoers", "/etc/sudoers.d"], Inside, [5, 80], "who may become root"),
    place(&["/etc/ssh", "/etc/ssl/private"], Inside, [20, 80], "the host's private keys"),
    place(&["/etc/cellblock"], Inside, [10, 80], "what decides over agents, and their secrets"),
    place(&["/etc/cron.d", "/var/spool/cron"], Inside, [2, 80], "what runs by itself, as root"),
    // The kernel's own interfaces; the jail has harmless ones.
    place(&["/dev"], Inside, [40, 80], "disks, terminals and memory as files"),
    place(&["/proc"], Inside, [30, 60], "other processes, and settings of the kernel"),
    place(&["/sys"], Inside, [10, 60], "settings of the kernel and of hardware"),
    place(&["/run", "/var/run"], InsideToWrite, [40, 80], "sockets and state of services"),
    place(&["/run/user", "/run/dbus", "/var/run/dbus"], Inside, [40, 80], "ways to your session"),
    // Their services do as root whatever they are asked; a socket needs no right but to be reached.
    place(
        &[
            "/run/docker.sock",
            "/run/containerd",
            "/run/podman",
            "/run/libvirt",
            "/var/run/docker.sock",
            "/var/run/containerd",
            "/var/run/podman",
            "/var/run/libvirt",
            "/var/lib/lxd",
            "/var/lib/incus",
        ],
        Inside,
        [80, 80],
        "a service that gives root of the host to whoever asks",
    ),
    place(&["/var"], InsideToWrite, [10, 40], "what services of the host keep"),
    place(&["/var/lib/docker", "/var/lib/containers"], Inside, [20, 80], "containers' files"),
    place(&["/var/log"], Inside, [5, 20], "logs, with what they hold by mistake"),
    // Somebody else's files in passing, and programs that trust names there.
    place(&["/tmp", "/var/tmp"], Inside, [5, 10], "temporary files of everybody"),
    place(&["/mnt", "/media", "/srv"], Whole, [5, 10], "all that is mounted or served there"),
    place(&["/home"], Whole, [50, 80], "the homes of everybody"),
    place(&["/root"], Inside, [30, 80], "root's home"),
    place(&["~"], Whole, [40, 60], "a whole home, with its keys, logins and start files"),
    place(&["~/.ssh"], Inside, [30, 40], "keys to other machines, and who may log in here"),
    place(&["~/.gnupg", "~/.password-store"], Inside, [30, 40], "private keys and passwords"),
    place(
        &["~/.aws", "~/.azure", "~/.kube", "~/.docker", "~/.config/gcloud", "~/.config/gh"],
        Inside,
        [20, 30],
        "logins to other machines' services",
    ),
    place(
        &["~/.netrc", "~/.git-credentials", "~/.npmrc", "~/.pypirc", "~/.cargo/credentials.toml"],
        Inside,
        [20, 30],
        "passwords and tokens",
    ),
    place(
        &["~/.mozilla", "~/.thunderbird", "~/.config/google-chrome", "~/.local/share/keyrings"],
        Inside,
        [30, 40],
        "saved passwords and sessions",
    ),
    place(&["~/.bash_history", "~/.zsh_history"], Inside, [10, 10], "what was typed"),
    // What runs as the person, next time they log in or start something.
    place(
        &[
            "~/.bashrc",
            "~/.bash_profile",
            "~/.profile",
            "~/.zshrc",
            "~/.zshenv",
            "~/.gitconfig",
            "~/.vimrc",
            "~/.tmux.conf",
        ],
        Inside,
        [0, 40],
        "what runs as you when you log in or start a tool",
    ),
    place(&["~/bin", "~/.cargo/bin"], Inside, [0, 40], "programs that you run"),
    place(&["~/.config"], InsideToWrite, [15, 30], "settings that name programs, and logins"),
    place(&["~/.local"], InsideToWrite, [10, 30], "your own programs, and what they keep"),
    place(
        &["~/.claude", "~/.claude.json", "~/.codex", "~/.gemini"],
        Inside,
        [10, 20],
        "logins and hooks of the agents that you run yourself",
    ),
];

impl Sensitive {
    fn cost(&self, write: bool) -> u16 {
        if write { self.write } else { self.read }
    }

    /// The longest of its paths in which `path` is, if that is enough to count.
    fn around(&self, path: &str, write: bool) -> Option<usize> {
        let counts = match self.reach {
            Inside => true,
            InsideToWrite => write,
            Whole => false,
        };
        let around = self.paths.iter().filter(|above| counts && is_in(path, above));
        around.map(|above| above.len()).max()
    }

    fn is_shown_by(&self, path: &str) -> bool {
        self.paths.iter().any(|inner| is_in(inner, path))
    }
}

/// Whether `path` is `above` or lies in it.
pub(super) fn is_in(path: &str, above: &str) -> bool {
    let above = above.trim_end_matches('/');
    path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        // Every home is somewhere below.
        || path.starts_with('~') && ["", "/home"].contains(&above)
}

/// `path` with the home that it is in written as `~`.
fn in_a_home(path: &str) -> Option<String> {
    if let Some(rest) = path.strip_prefix("/root") {
        return (rest.is_empty() || rest.starts_with('/')).then(|| format!("~{rest}"));
    }
    let rest = path.strip_prefix("/home/")?;
    Some(rest.split_once('/').map_or_else(|| "~".to_owned(), |(_, rest)| format!("~/{rest}")))
}

/// What it costs to show `path`, and what is there; none where nothing is known of it.
pub(super) fn cost(path: &str, write: bool) -> Option<(u16, &'static str)> {
    let forms = [Some(path.to_owned()), in_a_home(path)];
    let forms: Vec<String> = forms.into_iter().flatten().collect();
    let around = |place: &'static Sensitive| {
        forms
            .iter()
            .filter_map(|form| place.around(form, write))
            .max()
            .map(|length| (length, place))
    };
    let innermost = PLACES.iter().filter_map(around).max_by_key(|(length, _)| *length);
    let shown = PLACES.iter().filter(|place| forms.iter().any(|form| place.is_shown_by(form)));
    let all = shown.chain(innermost.map(|(_, place)| place));
    let worst = all.max_by_key(|place| place.cost(write))?;
    Some((worst.cost(write), worst.what)).filter(|(cost, _)| *cost > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &str) -> u16 {
        cost(path, false).map_or(0, |(cost, _)| cost)
    }

    fn write(path: &str) -> u16 {
        cost(path, true).map_or(0, |(cost, _)| cost)
    }

    #[test]
    fn writing_costs_no_less_than_reading() {
        assert!(PLACES.iter().all(|place| place.read <= place.write));
    }

    #[test]
    fn what_programs_need_to_start_costs_nothing() {
        for path in ["/usr", "/bin", "/opt/claude", "/etc/ssl/certs", "/etc/pki", "/etc/localtime"]
        {
            assert_eq!(cost(path, false), None, "{path}");
        }
        for path in ["~/project", "/home/ada/project", "/srv/data", "/data", "/home/ada/.configs"] {
            assert_eq!(cost(path, true), None, "{path}");
        }
    }

    #[test]
    fn a_place_counts_by_itself_from_above_and_where_it_says_so_inside() {
        assert_eq!([read("~/.ssh"), read("~/.ssh/id_ed25519")], [30, 30]);
        assert_eq!([read("~"), read("/home/ada"), read("/home"), read("/")], [40, 40, 50, 90]);
        assert_eq!([read("/root/x"), read("/root/.ssh"), read("/home/ada/.ssh")], [30, 30, 30]);
        assert_eq!([read("/etc"), read("/etc/shadow"), read("/etc/hosts")], [30, 30, 0]);
        assert_eq!([read("/proc"), read("/sys/fs"), read("/run/systemd/resolve")], [30, 10, 0]);
        assert_eq!([read("/run/docker.sock"), read("/run"), read("/var")], [80, 80, 80]);
        assert_eq!([write("/etc/hosts"), write("/usr/local"), write("~/bin/x")], [80, 80, 40]);
    }

    #[test]
    fn the_innermost_of_those_around_counts() {
        assert_eq!([read("~/.config/nvim"), read("~/.config/gh"), read("~/.config")], [0, 20, 30]);
        assert_eq!([write("/var/tmp/x"), write("/var/lib/x")], [10, 40]);
    }

    #[test]
    fn showing_more_never_costs_less() {
        let paths = PLACES.iter().flat_map(|place| place.paths);
        for path in paths.flat_map(|path| [(*path).to_owned(), format!("{path}/x/y")]) {
            let parts: Vec<_> = path.match_indices('/').map(|(at, _)| &path[..at]).collect();
            let mut least = [read(&path), write(&path)];
            for above in parts.into_iter().rev() {
                let above = if above.is_empty() { "/" } else { above };
                let now = [read(above), write(above)];
                assert!(now[0] >= least[0] && now[1] >= least[1], "{above} above {path}");
                least = now;
            }
        }
    }
}
