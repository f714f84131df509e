//! Tests of the whole: a policy's text or data in, the fate of calls out.

mod arguments;
mod differential;
mod interpreter;
mod loading;
mod property;
mod shape;
mod shipped;
mod told;
