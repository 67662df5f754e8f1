//! A scenario as the command line has it, and what its stack and its calls are made of.

use super::args::{LoadArgs, ScenarioArgs};
use super::scenario::{self, Command, Commands, Program, ScenarioError, Setup, Table};
use super::{LOOK, PASSWORD, RunError};
use crate::hop;
use rutil::Rng;
use stack::overload::OverloadOptions;
use stack::transport::TransportType;
use stack::tu::TuPoster;
use stack::{StackBuilder, StackOptions};
use std::any::Any;
use std::cell::OnceCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

/// A scenario and what the command line says of it.
pub(super) struct Scenario {
    pub(super) program: Program,
    fields: Vec<Table>,
    service: String,
    pub(super) hold: Duration,
    third: Option<SocketAddr>,
}

impl Scenario {
    /// Reads its files.
    pub(super) fn read(args: &ScenarioArgs) -> Result<Self, RunError> {
        let mut program = scenario::read(&args.file, &args.key.iter().cloned().collect())?;
        let fields = scenario::read_fields(&args.fields, &mut program)?;
        let user = args.load.target.as_ref().and_then(|target| target.user.as_ref().map(ToString::to_string));
        let service = args.service.clone().or(user).unwrap_or_else(|| "service".to_owned());
        if args.load.shards.get() > 1 && args.third.is_some() {
            let why = "--shards: third-party calls run on one: another controller names them, and knows no shards";
            return Err(ScenarioError::Arguments(why.into()).into());
        }
        if args.load.shards.get() > 1 && program.prefixed {
            let why = "--shards: calls with ///[call_id] run on one: their shard is known by the whole Call-ID";
            return Err(ScenarioError::Arguments(why.to_owned()).into());
        }
        let (hold, third) = (args.hold, args.third);
        Ok(Scenario { program, fields, service, hold, third })
    }

    /// What all its calls have in common.
    pub(super) fn setup(
        &self,
        target: String,
        kind: TransportType,
        load: &LoadArgs,
        epoch: Duration,
        rng: &mut Rng,
    ) -> Result<Setup, RunError> {
        Ok(Setup {
            program: self.program.clone(),
            service: self.service.clone(),
            target,
            kind,
            run: rng.token::<8>().as_str().to_owned(),
            pid: std::process::id(),
            hold: self.hold,
            users: load.users(std::env::var(PASSWORD).ok())?,
            fields: self.fields.clone(),
            // With another hop before it the target stands for itself, as with SIPp's -rsa.
            remote: load.via.as_ref().and(load.target.as_ref()).map(|target| {
                let kind = hop::kind_of(target).unwrap_or(kind);
                (target.host.to_string(), target.port.unwrap_or(kind.default_port()))
            }),
            epoch,
        })
    }

    /// The way to the other controller, if there is one. What comes from there is posted when `poster` is known.
    pub(super) async fn third(&self, poster: Rc<OnceCell<TuPoster>>) -> Result<Option<Commands>, RunError> {
        let Some(address) = self.third else { return Ok(None) };
        let take = async move |text| {
            let mut item: Box<dyn Any + Send> = Box::new(Command(text));
            // Until it is there, and has room.
            while let Some(refused) = match poster.get() {
                Some(poster) => poster.post(0, item).err(),
                None => Some(item),
            } {
                item = refused;
                tokio::time::sleep(LOOK).await;
            }
        };
        Ok(Some(scenario::open(address, self.program.is_commanded(), take).await?))
    }
}

/// A stack for scenarios: they have their own transactions.
pub(super) fn raw(builder: StackBuilder) -> StackBuilder {
    builder.options(StackOptions { raw: true, ..options() })
}

/// What all stacks here have in common: nothing is refused because it had to wait. What is tested is the other side, and a 503
/// of ours would count as its failure.
pub(super) fn options() -> StackOptions {
    let overload = OverloadOptions { max_wait: None, ..OverloadOptions::default() };
    StackOptions { overload, ..StackOptions::default() }
}
