//! temporary
use cellblock::{host, jail, plan, profile, shim};
use std::process::ExitCode;
struct N;
impl shim::run::Notices for N { fn detached(&mut self, a: &str) { eprintln!("[{a} goes on]"); } }
fn main() -> ExitCode {
    let args: Vec<_> = std::env::args_os().collect();
    if args.first().is_some_and(|a| a == jail::init::NAME) { return ExitCode::from(jail::init::main(args)); }
    let a: Vec<String> = args.iter().map(|a| a.to_string_lossy().into_owned()).collect();
    let mode = if a[1] == "run" { plan::Mode::Run } else { plan::Mode::Exec };
    let mut workspace=None; let mut without=vec![]; let mut words=vec![]; let mut timings=false; let mut prof=String::new(); let mut name=None;
    let mut i=2; while i<a.len() { match a[i].as_str() { "--" => { words=a[i+1..].to_vec(); break; } "--workspace" => { i+=1; workspace=Some(cellblock::document::Located{value:a[i].clone(),place:cellblock::document::Place::outside("--workspace","")}); } "--name" => { i+=1; name=Some(a[i].clone()); } "--without" => { i+=1; without.push(cellblock::document::Located{value:profile::Wall::parse(&a[i]).unwrap(),place:cellblock::document::Place::outside("--without","")}); } "--timings" => timings=true, p => prof=p.into() } i+=1; }
    let caller = host::probe::caller();
    let search = profile::load::Search::new(Some(&caller.person.home), host::trust::Trust::for_caller(caller.euid, caller.person.uid));
    let t0=std::time::Instant::now();
    let p = match search.load(&prof) { Ok(p)=>p, Err(e)=>{eprintln!("{e}"); return ExitCode::from(125);} };
    let t1=std::time::Instant::now();
    let req = plan::Request { agent: profile::types::AgentName::parse(name.as_deref().unwrap_or(&p.name)).unwrap(), mode, workspace, command: words, without };
    let q = plan::questions(&p, &req, &caller);
    let facts = host::probe(&q);
    let t2=std::time::Instant::now();
    let filter = plan::Filter::shipped(&p.seccomp.value).unwrap(); let t3=std::time::Instant::now();
    let t4=std::time::Instant::now();
    let pl = match plan::resolve(&p, &req, &facts, filter) { Ok(p)=>p, Err(e)=>{eprintln!("{e}"); return ExitCode::from(125);} };
    let t5=std::time::Instant::now();
    if a[1]=="explain" { print!("{}", plan::explain(&pl)); return ExitCode::SUCCESS; }
    let mut t = Vec::new();
    let r = match mode { plan::Mode::Run => shim::run::run(&pl, &mut N, &mut t), plan::Mode::Exec => shim::exec::exec(&pl, &mut t) };
    if timings { for (n,d) in [("profile",t1-t0),("probe",t2-t1),("policy",t3-t2),("compile",t4-t3),("plan",t5-t4)] { eprintln!("timing {n} {}", d.as_micros()); }
      for (n,d) in &t { eprintln!("timing {n} {}", d.as_micros()); } }
    match r { Ok(e)=>{ for l in e.screen { println!("{l}"); } for l in e.told { eprintln!("cellblock: {l}"); } ExitCode::from(e.status) } Err(e)=>{ eprintln!("cellblock: {e}\n  hint: {}", e.hint()); ExitCode::from(e.status()) } }
}
