//! Whatever is asked for, in whatever order: the ledger answers as a model of a few lines does, and asked again under
//! the same key it answers the same and moves nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use std::collections::BTreeSet;

use common::{Ask, Bench, MAXIMUM, slug};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use uuid::Uuid;

/// One step: numbers choose among the wallets, and by [`chosen`] among the holds and transactions that there are.
#[derive(Clone, Debug)]
enum Step {
    Credit { wallet: usize, amount: i64 },
    Debit { wallet: usize, amount: i64 },
    Hold { wallet: usize, amount: i64, seconds: i64 },
    Confirm { hold: usize },
    Cancel { hold: usize },
    Transfer { from: usize, to: usize, amount: i64 },
    Reverse { transaction: usize },
    Wait { seconds: i64 },
    Sweep,
}

fn step() -> impl Strategy<Value = Step> {
    // Two wallets of one currency, one of another, and one that does not exist.
    let wallet = || prop_oneof![9 => 0..3usize, 1 => Just(3usize)];
    let amount = || prop_oneof![16 => 1..200i64, 1 => -5..1i64, 1 => Just(MAXIMUM), 1 => Just(MAXIMUM + 1)];
    let seconds = prop_oneof![9 => 1..40i64, 1 => Just(-1i64), 1 => Just(604_801i64)];
    prop_oneof![
        3 => (wallet(), amount()).prop_map(|(wallet, amount)| Step::Credit { wallet, amount }),
        2 => (wallet(), amount()).prop_map(|(wallet, amount)| Step::Debit { wallet, amount }),
        3 => (wallet(), amount(), seconds)
            .prop_map(|(wallet, amount, seconds)| Step::Hold { wallet, amount, seconds }),
        2 => any::<usize>().prop_map(|hold| Step::Confirm { hold }),
        2 => any::<usize>().prop_map(|hold| Step::Cancel { hold }),
        3 => (wallet(), wallet(), amount()).prop_map(|(from, to, amount)| Step::Transfer { from, to, amount }),
        5 => any::<usize>().prop_map(|transaction| Step::Reverse { transaction }),
        2 => (1..60i64).prop_map(|seconds| Step::Wait { seconds }),
        1 => Just(Step::Sweep),
    ]
}

/// Which of so many is meant: mostly one of the newest, sometimes one that is not there.
fn chosen(number: usize, there_are: usize) -> usize {
    match there_are {
        0 => 0,
        _ if number % 20 == 19 => there_are,
        _ => there_are - 1 - number % there_are.min(6),
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Purse {
    available: i64,
    frozen: i64,
}

#[derive(Clone, Debug)]
struct OpenOrSettled {
    wallet: usize,
    amount: i64,
    ends: i64,
    status: &'static str,
}

/// What a transaction did to what is available, as far as it can be undone.
#[derive(Clone, Copy, Debug)]
enum Undo {
    Credited(usize, i64),
    Taken(usize, i64),
    Moved { from: usize, to: usize, amount: i64, posting: usize },
    Never,
}

#[derive(Clone, Debug, Default)]
struct Model {
    now: i64,
    purses: [Purse; 3],
    holds: Vec<OpenOrSettled>,
    transactions: Vec<(Undo, bool)>,
    postings: usize,
}

type Expected = Result<(), &'static str>;

impl Model {
    fn same_currency(one: usize, other: usize) -> bool {
        (one < 2) == (other < 2)
    }

    fn amount(amount: i64) -> Expected {
        match amount {
            ..=0 => Err("invalid-amount"),
            1..=MAXIMUM => Ok(()),
            _ => Err("limit-exceeded"),
        }
    }

    fn purse(&mut self, wallet: usize) -> Result<&mut Purse, &'static str> {
        self.purses.get_mut(wallet).ok_or("not-found")
    }

    fn take(&mut self, wallet: usize, amount: i64) -> Expected {
        let purse = self.purse(wallet)?;
        if purse.available < amount {
            return Err("insufficient-funds");
        }
        purse.available -= amount;
        Ok(())
    }

    fn pay(&mut self, from: usize, to: usize, amount: i64) -> Expected {
        self.purse(from)?;
        self.purse(to)?;
        if !Self::same_currency(from, to) {
            return Err("currency-mismatch");
        }
        self.take(from, amount)?;
        self.purse(to)?.available += amount;
        Ok(())
    }

    /// Does the step, or says why not and stays as it is.
    fn go(&mut self, step: &Step) -> Expected {
        match *step {
            Step::Credit { wallet, amount } => {
                Self::amount(amount)?;
                self.purse(wallet)?.available += amount;
                self.transactions.push((Undo::Credited(wallet, amount), false));
            }
            Step::Debit { wallet, amount } => {
                Self::amount(amount)?;
                self.take(wallet, amount)?;
                self.transactions.push((Undo::Taken(wallet, amount), false));
            }
            Step::Hold { wallet, amount, seconds } => {
                Self::amount(amount)?;
                if !(1..=604_800).contains(&seconds) {
                    return Err("validation-error");
                }
                self.take(wallet, amount)?;
                self.purse(wallet)?.frozen += amount;
                let ends = self.now + seconds;
                self.holds.push(OpenOrSettled { wallet, amount, ends, status: "held" });
                self.transactions.push((Undo::Never, false));
            }
            Step::Confirm { hold } => {
                let now = self.now;
                let hold = chosen(hold, self.holds.len());
                let hold = self.holds.get_mut(hold).ok_or("not-found")?;
                match hold.status {
                    "held" if now < hold.ends => hold.status = "confirmed",
                    "held" => return Err("hold-expired"),
                    _ => return Err("hold-settled"),
                }
                let (wallet, amount) = (hold.wallet, hold.amount);
                self.purse(wallet)?.frozen -= amount;
                self.transactions.push((Undo::Taken(wallet, amount), false));
            }
            Step::Cancel { hold } => {
                self.release(chosen(hold, self.holds.len()))?;
                self.transactions.push((Undo::Never, false));
            }
            Step::Transfer { from, to, amount } => {
                Self::amount(amount)?;
                if from == to {
                    return Err("validation-error");
                }
                self.pay(from, to, amount)?;
                self.postings += 1;
                let moved = Undo::Moved { from, to, amount, posting: self.postings };
                self.transactions.extend([(moved, false), (moved, false)]);
            }
            Step::Reverse { transaction } => self.reverse(chosen(transaction, self.transactions.len()))?,
            Step::Wait { seconds } => self.now += seconds,
            Step::Sweep => {
                let over = |hold: &OpenOrSettled| hold.status == "held" && hold.ends <= self.now;
                let ended: Vec<_> = (0..self.holds.len()).filter(|hold| over(&self.holds[*hold])).collect();
                for hold in ended {
                    self.release(hold)?;
                }
            }
        }
        Ok(())
    }

    fn release(&mut self, hold: usize) -> Expected {
        let hold = self.holds.get_mut(hold).ok_or("not-found")?;
        if hold.status != "held" {
            return Err("hold-settled");
        }
        hold.status = "canceled";
        let (wallet, amount) = (hold.wallet, hold.amount);
        let purse = self.purse(wallet)?;
        purse.frozen -= amount;
        purse.available += amount;
        Ok(())
    }

    fn reverse(&mut self, transaction: usize) -> Expected {
        match *self.transactions.get(transaction).ok_or("not-found")? {
            (_, true) => return Err("already-reversed"),
            (Undo::Never, _) => return Err("not-reversible"),
            (Undo::Credited(wallet, amount), _) => self.take(wallet, amount)?,
            (Undo::Taken(wallet, amount), _) => self.purse(wallet)?.available += amount,
            (Undo::Moved { from, to, amount, posting: wanted }, _) => {
                self.pay(to, from, amount)?;
                for (undo, reversed) in &mut self.transactions {
                    *reversed |= matches!(undo, Undo::Moved { posting, .. } if *posting == wanted);
                }
            }
        }
        self.transactions[transaction].1 = true;
        self.transactions.push((Undo::Never, false));
        Ok(())
    }
}

/// The ledger beside its model, with the ids of what the model only counts.
struct Twins {
    bench: Bench,
    model: Model,
    wallets: [String; 4],
    holds: Vec<String>,
    transactions: Vec<String>,
    /// What each of them was.
    kinds: Vec<String>,
    /// What was asked for and what came of it.
    seen: BTreeSet<String>,
}

impl Twins {
    async fn new() -> Twins {
        let bench = Bench::new().await;
        let (one, two) = (bench.wallet_of("EUR").await, bench.wallet_of("EUR").await);
        let wallets = [one, two, bench.wallet_of("USD").await, Uuid::now_v7().to_string()];
        Twins {
            bench,
            model: Model::default(),
            wallets,
            holds: Vec::new(),
            transactions: Vec::new(),
            kinds: Vec::new(),
            seen: BTreeSet::new(),
        }
    }

    /// What to ask the ledger for; nothing for a step that asks nobody.
    fn ask(&self, step: &Step) -> Option<Ask> {
        let wallet = |number: usize| self.wallets[number].clone();
        let one_of = |ids: &[String], number| {
            ids.get(chosen(number, ids.len())).cloned().unwrap_or_else(|| Uuid::now_v7().to_string())
        };
        Some(match *step {
            Step::Credit { wallet: number, amount } => Ask::Credit { wallet: wallet(number), amount },
            Step::Debit { wallet: number, amount } => Ask::Debit { wallet: wallet(number), amount },
            Step::Hold { wallet: number, amount, seconds } => {
                Ask::Hold { wallet: wallet(number), amount, seconds }
            }
            Step::Confirm { hold } => Ask::Confirm { hold: one_of(&self.holds, hold) },
            Step::Cancel { hold } => Ask::Cancel { hold: one_of(&self.holds, hold) },
            Step::Transfer { from, to, amount } => {
                Ask::Transfer { from: wallet(from), to: wallet(to), amount }
            }
            Step::Reverse { transaction } => {
                Ask::Reverse { transaction: one_of(&self.transactions, transaction) }
            }
            Step::Wait { .. } | Step::Sweep => return None,
        })
    }

    async fn go(&mut self, step: &Step) {
        let expected = self.model.go(step);
        match (self.ask(step), step) {
            (Some(ask), _) => self.twice(step, &ask, expected).await,
            (None, Step::Wait { seconds }) => self.bench.turn(*seconds),
            (None, _) => drop(self.bench.ledger.sweep().await.unwrap()),
        }
        self.compare(step).await;
    }

    async fn twice(&mut self, step: &Step, ask: &Ask, expected: Expected) {
        let (ledger, tenant, key) = (&self.bench.ledger, self.bench.tenant, Uuid::now_v7());
        let first = ask.of(ledger, tenant, key).await;
        let (balances, entries) = (self.balances().await, self.bench.entries().await);
        let again = ask.of(ledger, tenant, key).await;
        match (&first, &again) {
            (Ok(first), Ok(again)) => assert_eq!(first, again, "{step:?} under the same key"),
            (Err(first), Err(again)) => assert_eq!(slug(first), slug(again), "{step:?} under the same key"),
            _ => panic!("{step:?} is {first:?} and, under the same key, {again:?}"),
        }
        assert_eq!(
            (self.balances().await, self.bench.entries().await),
            (balances, entries),
            "{step:?} again"
        );
        let outcome = first.as_ref().map(|_| ()).map_err(slug);
        assert_eq!(outcome, expected.map_err(str::to_owned), "{step:?}");
        self.seen.insert(self.told(step, &outcome));
        let Ok(answered) = first else { return };
        self.kinds.extend(answered.transactions.iter().map(|made| made.r#type.clone()));
        self.transactions.extend(answered.transactions.into_iter().map(|made| made.transaction_id));
        if let (Step::Hold { .. }, Some(hold)) = (step, answered.hold) {
            self.holds.push(hold.id);
        }
    }

    /// A step with its outcome, in a few words.
    fn told(&self, step: &Step, outcome: &Result<(), String>) -> String {
        let what = match (step, outcome) {
            (Step::Reverse { transaction }, Ok(())) => {
                let number = chosen(*transaction, self.kinds.len());
                format!("reverse {}", self.kinds[number])
            }
            _ => format!("{step:?}").split(' ').next().unwrap().to_lowercase(),
        };
        format!("{what}: {}", outcome.as_ref().map_or_else(String::as_str, |()| "done"))
    }

    async fn balances(&self) -> Vec<(i64, i64)> {
        let mut balances = Vec::new();
        for id in &self.wallets[..3] {
            balances.push(self.bench.balance(id).await);
        }
        balances
    }

    async fn compare(&self, step: &Step) {
        let expected: Vec<_> =
            self.model.purses.iter().map(|purse| (purse.available, purse.frozen)).collect();
        assert_eq!(self.balances().await, expected, "after {step:?}");
    }
}

/// What must have happened, or the test says nothing about it.
const COVERED: [&str; 24] = [
    "credit: done",
    "credit: invalid-amount",
    "credit: limit-exceeded",
    "credit: not-found",
    "debit: done",
    "debit: insufficient-funds",
    "hold: done",
    "hold: insufficient-funds",
    "hold: validation-error",
    "confirm: done",
    "confirm: hold-expired",
    "confirm: hold-settled",
    "cancel: done",
    "cancel: hold-settled",
    "transfer: done",
    "transfer: currency-mismatch",
    "transfer: validation-error",
    "reverse credit: done",
    "reverse debit: done",
    "reverse confirm: done",
    "reverse transfer_in: done",
    "reverse transfer_out: done",
    "reverse: already-reversed",
    "reverse: not-reversible",
];

#[test]
fn the_ledger_does_what_its_model_does() {
    let seen = std::cell::RefCell::new(BTreeSet::new());
    let follow = |steps: &[Step]| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut twins = Twins::new().await;
            for step in steps {
                twins.go(step).await;
            }
            twins.bench.audit().await;
            seen.borrow_mut().append(&mut twins.seen);
        });
    };
    // One of each, whatever chance brings about later. 0 is the newest hold or transaction.
    follow(&[
        Step::Credit { wallet: 0, amount: 0 },
        Step::Credit { wallet: 0, amount: MAXIMUM + 1 },
        Step::Credit { wallet: 3, amount: 1 },
        Step::Credit { wallet: 0, amount: 50 },
        Step::Reverse { transaction: 0 },
        Step::Credit { wallet: 0, amount: 100 },
        Step::Debit { wallet: 0, amount: 101 },
        Step::Debit { wallet: 0, amount: 10 },
        Step::Reverse { transaction: 0 },
        Step::Hold { wallet: 0, amount: 101, seconds: 5 },
        Step::Hold { wallet: 0, amount: 10, seconds: -1 },
        Step::Hold { wallet: 0, amount: 10, seconds: 5 },
        Step::Confirm { hold: 0 },
        Step::Confirm { hold: 0 },
        Step::Reverse { transaction: 0 },
        Step::Transfer { from: 0, to: 0, amount: 10 },
        Step::Transfer { from: 0, to: 2, amount: 10 },
        Step::Transfer { from: 0, to: 1, amount: 10 },
        Step::Reverse { transaction: 0 },
        Step::Transfer { from: 0, to: 1, amount: 10 },
        Step::Reverse { transaction: 1 },
        Step::Reverse { transaction: 1 },
        Step::Reverse { transaction: 0 },
        Step::Hold { wallet: 0, amount: 10, seconds: 5 },
        Step::Wait { seconds: 5 },
        Step::Confirm { hold: 0 },
        Step::Cancel { hold: 0 },
        Step::Cancel { hold: 0 },
        Step::Hold { wallet: 0, amount: 10, seconds: 5 },
        Step::Wait { seconds: 5 },
        Step::Sweep,
    ]);
    let missing: Vec<_> = COVERED.iter().filter(|what| !seen.borrow().contains(**what)).collect();
    assert!(missing.is_empty(), "never happened: {missing:?}; what did: {seen:?}");
    let config = ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() };
    let outcome = TestRunner::new(config).run(&prop::collection::vec(step(), 20..90), |steps| {
        follow(&steps);
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}
