//! What every adapter of the analytics port must do.

use std::future::Future;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::analytics::{Analytics, Fact, Function, Question};
use crate::{Result, TenantId};

/// Runs the suite. `make` opens the same, at first empty store at each call.
///
/// # Panics
/// With the rule that was broken.
pub async fn analytics<F: Future<Output = Result<Arc<dyn Analytics>>>>(make: impl Fn() -> F) {
    let store = make().await.unwrap();
    let (one, two) = (TenantId::new(Uuid::now_v7()), TenantId::new(Uuid::now_v7()));
    let at = |second: i64| Timestamp::from_second(1_790_000_000 + second).unwrap();
    let fact = |second, value: Value| Fact { at: at(second), fields: value.as_object().unwrap().clone() };
    let facts = vec![
        fact(1, json!({ "currency": "USD", "amount": 5 })),
        fact(2, json!({ "currency": "EUR", "amount": 7 })),
        fact(3, json!({ "currency": "USD", "amount": 10 })),
    ];
    store.append(one, "credits", facts).await.unwrap();
    store.append(two, "credits", vec![fact(1, json!({ "currency": "USD", "amount": 1000 }))]).await.unwrap();
    store.append(one, "other", vec![fact(1, json!({ "amount": 1 }))]).await.unwrap();

    let store = make().await.unwrap();
    let ask = async |tenant, question: Question| {
        Value::from_iter(store.ask(tenant, "credits", &question).await.unwrap())
    };
    let amount = |function| (function, "amount".to_owned());
    let all = vec![
        (Function::Count, String::new()),
        amount(Function::Sum),
        amount(Function::Average),
        amount(Function::Minimum),
        amount(Function::Maximum),
    ];
    let question =
        Question { measures: all.clone(), group_by: vec!["currency".to_owned()], ..Question::default() };
    assert_eq!(
        ask(one, question).await,
        json!([
            { "currency": "EUR", "count": 1, "sum_amount": 7, "avg_amount": 7.0, "min_amount": 7, "max_amount": 7 },
            { "currency": "USD", "count": 2, "sum_amount": 15, "avg_amount": 7.5, "min_amount": 5, "max_amount": 10 },
        ])
    );
    let count = vec![(Function::Count, String::new())];
    let window =
        Question { measures: count.clone(), from: Some(at(2)), to: Some(at(3)), ..Question::default() };
    assert_eq!(ask(one, window).await, json!([{ "count": 1 }]), "from is included, to is not");
    assert_eq!(
        ask(two, Question { measures: all[..2].to_vec(), ..Question::default() }).await,
        json!([
            { "count": 1, "sum_amount": 1000 }
        ])
    );

    let question = Question { measures: count, group_by: vec!["x') --".to_owned()], ..Question::default() };
    assert!(store.ask(one, "credits", &question).await.is_err(), "a field's name cannot smuggle SQL");
    assert!(store.ask(one, "credits", &Question::default()).await.is_err(), "a question asks something");
}
