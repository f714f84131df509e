//! From whom a gate takes orders.

use super::keeper::Keeper;
use super::protocol::{Refused, Start, command, hear};
use super::*;
use crate::egress::rules::Rules;
use crate::wire::pair;
use std::thread::JoinHandle;

/// A gate, not confined, that was told where orders come from; and the socket of who told it.
fn gate(orders: Orders, sockets: &[OwnedFd]) -> (OwnedFd, JoinHandle<Result<(), String>>) {
    let (keeper, birth) = pair().unwrap();
    let start = Start { orders, connections: 1, rate: 1, ..Start::default() };
    command(&keeper, &Order::Start(Box::new(start)), sockets).unwrap();
    let thread = std::thread::spawn(move || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().build().unwrap();
        let local = tokio::task::LocalSet::new();
        local.block_on(&runtime, begin(&Rc::new(birth)))
    });
    (keeper, thread)
}

fn listener(folder: &tempfile::TempDir) -> (OwnedFd, std::path::PathBuf) {
    let path = folder.path().join("orders");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    listener.set_nonblocking(true).unwrap();
    (listener.into(), path)
}

#[test]
fn who_holds_the_gate_of_a_session_gives_no_orders() {
    let wide = Order::Rules(Rules::default());
    // Where orders come from the first keeper, the same one is obeyed.
    let (keeper, thread) = gate(Orders::Here, &[]);
    assert_eq!(hear(&keeper, true), Ok(Some(Report::Ready)));
    command(&keeper, &wide, &[]).unwrap();
    assert_eq!(hear(&keeper, true), Ok(Some(Report::Ready)));
    drop(keeper);
    assert_eq!(thread.join().unwrap(), Ok(()));

    let folder = tempfile::tempdir().unwrap();
    for order in [wide, Order::Count] {
        let (orders, path) = listener(&folder);
        let (holder, thread) = gate(Orders::ByListener, &[orders]);
        assert_eq!(hear(&holder, true), Ok(Some(Report::Ready)));
        command(&holder, &order, &[]).unwrap();
        assert_eq!(thread.join().unwrap(), Err(OUT_OF_TURN.to_owned()));
        std::fs::remove_file(path).unwrap();
    }
}

#[test]
fn a_gate_ends_with_who_holds_it_and_begins_with_no_listener_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let (orders, _path) = listener(&folder);
    let (holder, thread) = gate(Orders::ByListener, &[orders]);
    assert_eq!(hear(&holder, true), Ok(Some(Report::Ready)));
    drop(holder);
    assert_eq!(thread.join().unwrap(), Ok(()));
    let (_holder, thread) = gate(Orders::ByListener, &[]);
    assert!(thread.join().unwrap().unwrap_err().contains("listener"));
}

#[test]
fn what_nobody_heard_is_told_to_the_next_keeper_and_bounded() {
    let refused = |number: u32| Refused { to: number.to_string(), times: 2, ..Refused::default() };
    let keeper = Keeper::default();
    let lost: u64 = (0..1003).map(|number| keeper.tell(refused(number))).sum();
    assert_eq!(lost, 6);
    let (near, far) = pair().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let reader = std::thread::spawn(move || {
        let heard = (0..1001).map(|_| match hear(&near, true).unwrap() {
            Some(Report::Refused(refused)) => refused.to,
            other => panic!("{other:?}"),
        });
        heard.collect::<Vec<_>>()
    });
    runtime.block_on(async {
        let line = Line::new(Rc::new(far)).unwrap();
        keeper.come(&line);
        keeper.catch_up(&line).await.unwrap();
        assert_eq!(keeper.tell(refused(2000)), 0);
    });
    let heard = reader.join().unwrap();
    assert_eq!((heard[0].as_str(), heard[999].as_str()), ("0", "999"));
    assert_eq!(heard[1000], "2000");
    // One that is gone without a word is found gone, and the next one hears of it.
    keeper.leave();
    let (near, far) = pair().unwrap();
    runtime.block_on(async {
        let line = Line::new(Rc::new(far)).unwrap();
        keeper.come(&line);
        drop(near);
        assert_eq!(keeper.tell(refused(7)), 0);
        let (near, far) = pair().unwrap();
        let line = Line::new(Rc::new(far)).unwrap();
        keeper.come(&line);
        keeper.catch_up(&line).await.unwrap();
        assert!(matches!(hear(&near, true), Ok(Some(Report::Refused(told))) if told.to == "7"));
    });
}
