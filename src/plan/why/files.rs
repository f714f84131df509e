//! Paths: what mounts, masks and Landlock say of them.

use super::{Access, Answer};
use crate::denial::{Opening, quoted};
use crate::plan::outline::Outline;
use crate::plan::tree::{below, join};
use crate::plan::types::{Content, Mask, MaskKind, Mount, Rights, Source};
use crate::plan::{OWN, TMUX_DIRECTORY, WORKSPACE};
use crate::profile::Wall;

/// Places that no entry of a profile can have.
const TAKEN: &[&str] = &["/proc", "/dev", OWN, WORKSPACE];

/// How many links are followed.
const LINKS: usize = 16;

const MOUNT: &str = "mount";
const LANDLOCK: &str = "landlock";

/// What the plan says of `path`: one in the jail, or of the host where the jail shows it elsewhere. It may be relative to
/// where the command starts, or begin with `~`.
#[must_use]
pub fn path(outline: &Outline, path: &str, access: Access) -> Answer {
    let at = absolute(outline, path);
    let Some(mount) = outline.mounts.first().filter(|_| outline.stands(Wall::Mount)) else {
        return on_host(outline, &at, access);
    };
    let inside = follow(outline, &at);
    let mut asked = Asked { outline, at: inside, access };
    let mut answer = asked.answer();
    if asked.mount().is_some_and(|found| found.at == mount.at)
        && let Some(shown) = shown_as(outline, &at)
    {
        asked.at = shown;
        let note = format!("{at} of the host is {} in the jail", asked.at);
        answer = asked.answer().note(note);
    } else if asked.at != at {
        let note = format!("{at} leads to {}", asked.at);
        answer = answer.note(note);
    }
    answer
}

/// The path without `.` and `..`, from the root.
fn absolute(outline: &Outline, path: &str) -> String {
    let whole = match path.strip_prefix('~') {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => {
            format!("{}{rest}", outline.home)
        }
        Some(_) | None if path.starts_with('/') => path.to_owned(),
        Some(_) | None => format!("{}/{path}", outline.workdir),
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in whole.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    format!("/{}", parts.join("/"))
}

/// Where `at` is reached, through the links that the plan itself makes.
fn follow(outline: &Outline, at: &str) -> String {
    let mut at = at.to_owned();
    for _ in 0..LINKS {
        let links = outline.mounts.iter().flat_map(links);
        let found = links.filter_map(|(link, target)| {
            let rest = below(&at, &link)?;
            let start = if target.starts_with('/') { "" } else { link.rsplit_once('/')?.0 };
            Some(absolute(outline, &join(&format!("{start}/{target}"), rest)))
        });
        match found.into_iter().next() {
            Some(next) => at = next,
            None => break,
        }
    }
    at
}

fn links(mount: &Mount) -> impl Iterator<Item = (String, &String)> {
    let nodes = match &mount.source {
        Source::Memory { nodes, .. } => nodes.as_slice(),
        Source::Host { .. } | Source::Pts { .. } | Source::Proc => &[],
    };
    nodes.iter().filter_map(|node| match &node.content {
        Content::Link(target) => Some((join(&mount.at, &node.path), target)),
        Content::Directory { .. }
        | Content::File(_)
        | Content::Blank { .. }
        | Content::Device { .. }
        | Content::Socket
        | Content::Door => None,
    })
}

/// Where the jail shows the host's path.
fn shown_as(outline: &Outline, path: &str) -> Option<String> {
    let shown = outline.mounts.iter().filter_map(|mount| match &mount.source {
        Source::Host { path: host, .. } if mount.at != *host => {
            Some((host.len(), join(&mount.at, below(path, host)?)))
        }
        Source::Host { .. } | Source::Memory { .. } | Source::Pts { .. } | Source::Proc => None,
    });
    shown.max().map(|(_, at)| at)
}

/// One question.
struct Asked<'o> {
    outline: &'o Outline,
    at: String,
    access: Access,
}

impl<'o> Asked<'o> {
    fn allowed(&self, rule: impl Into<String>, origin: &str) -> Answer {
        Answer::allowed(self.access.word(), &self.at, rule, origin)
    }

    /// Refused by the mounts.
    fn refused(&self, errno: &str, rule: impl Into<String>, opening: Opening) -> Answer {
        self.allowed(rule, "").refused((MOUNT, errno), opening)
    }

    fn mount(&self) -> Option<&'o Mount> {
        let over = self.outline.mounts.iter().filter(|mount| below(&self.at, &mount.at).is_some());
        over.max_by_key(|mount| mount.at.len())
    }

    fn answer(&self) -> Answer {
        if let Some(answer) = self.masked() {
            return answer;
        }
        let Some(mount) = self.mount() else { return self.absent() };
        let rest = below(&self.at, &mount.at).unwrap_or_default();
        let answer = match &mount.source {
            Source::Proc => self.in_proc(rest),
            Source::Pts { .. } => self.by_rights(mount, Opening::nothing(OF_ITS_OWN)),
            Source::Host { .. } => self.in_tree(mount, rest),
            Source::Memory { agent: true, .. } => self.in_memory(mount),
            Source::Memory { agent: false, nodes, devices, .. } => {
                let node = nodes.iter().find(|node| node.path == rest);
                let content = node.map(|node| &node.content);
                self.of_the_jails(content, rest.is_empty(), *devices)
            }
        };
        self.with_landlock(answer)
    }

    /// What hides or protects it: the nearest at or above it.
    fn masked(&self) -> Option<Answer> {
        let over = self.outline.masks.iter().filter(|mask| below(&self.at, &mask.at).is_some());
        let covers = over.filter(|mask| mask.kind != MaskKind::Pin);
        let mask: &Mask = covers.max_by_key(|mask| mask.at.len())?;
        let (list, errno, word) = match (&mask.kind, self.access) {
            (MaskKind::Hide { .. }, _) => ("hide", "EACCES", "hidden"),
            (MaskKind::Protect | MaskKind::Stub { .. }, Access::Write) => {
                ("protect", "EROFS", "protected")
            }
            (MaskKind::Protect | MaskKind::Stub { .. } | MaskKind::Pin, _) => return None,
        };
        let what = format!("take the pattern for {} out of `{list}` ({})", mask.at, mask.origin);
        let mut answer =
            self.refused(errno, format!("{} is {word}", mask.at), Opening::Change { what });
        answer.origin.clone_from(&mask.origin);
        Some(answer)
    }

    fn in_proc(&self, rest: &str) -> Answer {
        let hidden = self.outline.proc_masks.iter().any(|mask| below(rest, mask).is_some());
        if hidden {
            let rule = "what tells of the kernel and of no process of the jail is covered";
            return self.refused("EACCES", rule, Opening::nothing(OF_ITS_OWN));
        }
        match self.access {
            Access::Read => self.allowed("/proc of the jail's own processes", ""),
            Access::Write => {
                self.refused("EROFS", "/proc is read-only", Opening::nothing(OF_ITS_OWN))
            }
            Access::Execute => {
                self.refused("EACCES", "/proc is noexec", Opening::nothing(OF_ITS_OWN))
            }
        }
    }

    /// What the rights of a mount say; `opening` is what would give one that is missing.
    fn by_rights(&self, mount: &Mount, opening: Opening) -> Answer {
        let at = &mount.at;
        let mut answer = match self.access {
            Access::Write if !mount.write => {
                self.refused("EROFS", format!("{at} is read-only"), opening)
            }
            Access::Execute if !mount.execute => {
                self.refused("EACCES", format!("{at} is noexec"), opening)
            }
            Access::Read | Access::Write | Access::Execute => {
                self.allowed(format!("{at} may be used so"), "")
            }
        };
        answer.origin.clone_from(&mount.origin);
        answer
    }

    fn in_tree(&self, mount: &Mount, rest: &str) -> Answer {
        let Source::Host { path, idmap, .. } = &mount.source else { return self.absent() };
        let answer = self.by_rights(mount, self.entry(&join(path, rest)));
        let who = match idmap {
            Some(_) => return answer,
            None => self.outline.uid,
        };
        answer.note(format!("also as far as its permissions on disk let uid {who}"))
    }

    fn in_memory(&self, mount: &Mount) -> Answer {
        let opening = match mount.at.as_str() {
            "/tmp" => Opening::line("filesystem", "tmp_execute = true".to_owned()),
            at if at == self.outline.home => {
                Opening::line("filesystem", "home_execute = true".to_owned())
            }
            "/dev/shm" | TMUX_DIRECTORY => Opening::nothing(OF_ITS_OWN),
            _ => Opening::nothing("a tree in memory has the rights that the jail gives it"),
        };
        let answer = self.by_rights(mount, opening);
        let at = &mount.at;
        answer.note(format!(
            "{at} is in memory: what is there the agent has made, and nothing is of the host"
        ))
    }

    /// What the jail has of its own, and nobody can write.
    fn of_the_jails(&self, content: Option<&Content>, is_mount: bool, devices: bool) -> Answer {
        let fixed = || self.allowed("the jail's own", "");
        match (content, self.access) {
            (None, _) if !is_mount => {
                if devices {
                    let rule = "the jail has the devices that every program expects, and no others";
                    return self.refused("ENOENT", rule, Opening::nothing(OF_ITS_OWN));
                }
                self.absent()
            }
            (Some(Content::Device { .. }), Access::Read | Access::Write) => fixed(),
            (Some(Content::Blank { .. }), _) => {
                let rule = "what covers hidden files can be opened by nobody";
                self.refused("EACCES", rule, Opening::nothing(OF_ITS_OWN))
            }
            (_, Access::Read) => fixed(),
            (Some(Content::Directory { .. }), Access::Write) => {
                let rule = "it is only on the way to what the jail shows";
                self.refused("EROFS", rule, self.entry(&self.at))
            }
            (_, Access::Write) => {
                let rule = "what the jail has of its own is read-only";
                self.refused("EROFS", rule, Opening::nothing(OF_ITS_OWN))
            }
            (_, Access::Execute) => {
                let rule = "what the jail has of its own is noexec";
                self.refused("EACCES", rule, Opening::nothing(OF_ITS_OWN))
            }
        }
    }

    fn absent(&self) -> Answer {
        let rule = "no entry of the profile shows it: it does not exist in the jail";
        let answer = self.refused("ENOENT", rule, self.entry(&self.at));
        match nearest(self.outline, &self.at) {
            Some(near) => answer.note(format!("the nearest entry is {near}")),
            None => answer,
        }
    }

    /// The line that shows the host's `path` here, with what is asked for.
    fn entry(&self, path: &str) -> Opening {
        if let Some(taken) = TAKEN.iter().find(|taken| below(&self.at, taken).is_some()) {
            return Opening::nothing(format!("no entry of a profile can be at {taken}"));
        }
        if self.at == "/" {
            return Opening::nothing("no entry of a profile can be at /");
        }
        Opening::line("filesystem", line(self.access, path, &self.at))
    }

    /// Landlock has the same list, and what the mounts do not refuse it may.
    fn with_landlock(&self, answer: Answer) -> Answer {
        let refused = answer.opening.is_some();
        if refused
            || !self.outline.stands(Wall::Landlock)
            || permits(self.outline, &self.at, self.access)
        {
            return answer;
        }
        let rule = format!("no rule of Landlock allows to {} it", self.access.word());
        self.allowed(rule, "").refused((LANDLOCK, "EACCES"), Opening::nothing(OF_ITS_OWN))
    }
}

const OF_ITS_OWN: &str = "it is the same in every jail";

fn line(access: Access, path: &str, at: &str) -> String {
    if path == at {
        return format!("{} = [{}]", access.word(), quoted(path));
    }
    format!("{} = [{{ path = {}, at = {} }}]", access.word(), quoted(path), quoted(at))
}

/// Whether Landlock's rules at `at` or above it allow `access`.
fn permits(outline: &Outline, at: &str, access: Access) -> bool {
    let over = outline.landlock.rules.iter().filter(|rule| below(at, &rule.path).is_some());
    over.into_iter().any(|rule| match (rule.rights, access) {
        // Whether it is a directory is not known, but for those on the way, which nothing else is about.
        (Rights::List, Access::Read) => at == "/" || is_place(outline, at),
        (Rights::List, Access::Write | Access::Execute) => false,
        (Rights::Tree(_) | Rights::Devices, Access::Read) => true,
        (Rights::Tree(tree), Access::Write) => tree.write,
        (Rights::Tree(tree), Access::Execute) => tree.execute,
        (Rights::Devices, Access::Write) => true,
        (Rights::Devices, Access::Execute) | (Rights::Socket, _) => false,
    })
}

/// Whether `at` is a directory that the jail's own root holds.
fn is_place(outline: &Outline, at: &str) -> bool {
    let root = outline.mounts.first();
    let Some(Source::Memory { nodes, .. }) = root.map(|root| &root.source) else { return false };
    let rest = at.trim_start_matches('/');
    nodes.iter().any(|node| node.path == rest && matches!(node.content, Content::Directory { .. }))
}

/// Without a root of its own: the host's paths, as far as Landlock allows.
fn on_host(outline: &Outline, at: &str, access: Access) -> Answer {
    let allowed = |rule: &str| Answer::allowed(access.word(), at, rule, "");
    let note =
        "the jail has no root of its own: paths are the host's, and nothing is hidden or protected";
    if !outline.stands(Wall::Landlock) {
        return allowed("neither `mount` nor `landlock` stands").note(note);
    }
    if permits(outline, at, access) {
        return allowed("a rule of Landlock allows it").note(note);
    }
    let opening = if TAKEN.iter().any(|taken| below(at, taken).is_some()) || at == "/" {
        Opening::nothing(OF_ITS_OWN)
    } else {
        Opening::line("filesystem", line(access, at, at))
    };
    let rule = format!("no rule of Landlock allows to {} it", access.word());
    let answer = allowed(&rule).refused((LANDLOCK, "EACCES"), opening).note(note);
    match nearest(outline, at) {
        Some(near) => answer.note(format!("the nearest entry is {near}")),
        None => answer,
    }
}

/// The entry that has most of the path in common with `at`, one directory below the root at least.
fn nearest<'o>(outline: &'o Outline, at: &str) -> Option<&'o str> {
    let common = |entry: &str| {
        let parts = entry.split('/').skip(1).zip(at.split('/').skip(1));
        parts.take_while(|(own, asked)| own == asked).count()
    };
    let entries = outline.mounts.iter().filter(|it| matches!(it.source, Source::Host { .. }));
    let near = entries.map(|mount| (common(&mount.at), mount.at.as_str()));
    near.filter(|(common, _)| *common > 0).max().map(|(_, at)| at)
}
