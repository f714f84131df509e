//! Jails for AI coding agents: every agent behind walls of its own, in a tmux session of its own.
//!
//! # The way of the data
//!
//! ```text
//!  profiles/x.toml ─ profile::raw ─ RawProfile      the author's claim, every unknown key told   pure
//!                    profile::validate ─ Profile    checked values, every problem with its key   pure
//!  policies/x.toml ─ policy::seccomp ─ Program      calls with their reasons, as a filter        pure
//!  the machine ───── host::probe ─ HostFacts        what this kernel can enforce                 reads only
//!                    plan::resolve ─ Plan           every value final, nothing decided later     pure
//!                    plan::steps ─ Vec<Step>        in order, printable, testable without root   pure
//!                    launch (parent) ⇄ jail (child) the only privileged part: performs steps     effects
//!                    launch::confirm                reads the walls back from outside            reads only
//!                    shim ─ running agent           relays its terminal, watches, tells its end  effects
//!                    limits ─ figures, hits, ranks  what it uses, reaches, and who ends first    pure core
//! ```
//!
//! A plan is plain data: `cellblock explain` prints it, golden tests compare it, the launch performs
//! it. Raw profile, profile, host facts and plan are four types, so that no stage can be left out.
//!
//! # Processes
//!
//! ```text
//! cellblock run NAME         root while it launches; holds the jail's terminal and relays it to yours
//!  └─ jail init              PID 1 of the jail, behind every wall: agent uid, no capabilities
//!      ├─ tmux server        private socket in the jail
//!      │   └─ panes          the agent's command and all it starts
//!      └─ tmux client        attached to the agent's session; its terminal's master is outside
//! ```
//!
//! No process outside a jail ever runs a tmux client against a jail's tmux server: the server can make
//! its client read files and run commands.
//!
//! # The modules, in the order of the flow
//!
//! - [`cli`]: the verbs, and the only place that prints; [`exit`]: what the exit status means
//! - [`config`]: what the admin sets for all agents
//! - [`document`]: TOML in which every problem is found at once
//! - [`profile`]: what the author of an agent asks for
//! - [`policy`]: the reusable parts of a profile
//! - [`egress`]: whom an agent may reach: names, rules, and what the first bytes of a connection say
//! - [`gate`]: the process outside that carries an agent's connections
//! - [`denial`]: what was refused to an agent, by whichever wall
//! - [`score`]: what a profile gives up, as a number
//! - [`host`]: what this machine has
//! - [`plan`]: every value of a jail, and its steps in order
//! - [`planning`]: the way from a profile's name to a plan
//! - [`jobs`]: what an agent has declared to run beside its session
//! - [`launch`]: the parent's half of making a jail, outside
//! - [`jail`]: the child's half, and the init that is PID 1 inside
//! - [`confine`]: what cellblock's own processes outside give up
//! - [`control`]: how the command line reaches what keeps a running jail, and who may
//! - [`shim`]: keeps one jail from its start to its end
//! - [`supervisor`]: runs the agents of an installation
//! - [`limits`]: what a running jail uses of each limit, and what happens when it reaches one
//! - [`alerts`]: who is told, and when, that something happens to agents
//! - [`systemd`]: what only systemd may do with cgroups, and what a service tells it
//! - [`sys`]: the system calls that no safe crate has; the only unsafe code
//! - [`terminal`]: the way between a jail's terminal and a person's
//! - [`verify`]: the escape battery: attempts to get out of a jail, judged from outside
//! - [`watch`]: sees what agents start and leave behind
//! - [`wire`]: messages between processes of cellblock
//!
//! Arrows go one way: `plan` and everything before it see neither `sys` nor what launches. A test
//! enforces it (`tests/layering.rs`).

pub mod alerts;
pub mod cli;
pub mod config;
pub mod confine;
pub mod control;
pub mod denial;
pub mod document;
pub mod egress;
pub mod exit;
pub mod gate;
pub mod host;
pub mod jail;
pub mod jobs;
pub mod launch;
pub mod limits;
pub mod plan;
pub mod planning;
pub mod policy;
pub mod profile;
pub mod score;
pub mod shim;
pub mod supervisor;
pub mod sys;
pub mod systemd;
pub mod terminal;
pub mod verify;
pub mod watch;
pub mod wire;

/// musl's own allocator gives memory back to the kernel at once and asks for it again a moment later;
/// a launch of two milliseconds spends a quarter of its time on that.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;
