//! Runs one scenario as a tenant of its own.

use std::time::{Duration, Instant};

use reqwest::{Client, Method, RequestBuilder, multipart};
use serde_json::{Value, json};

use super::provider::Provider;
use super::scenario::{Scenario, Step, at, fits};
use super::variables::Variables;
use super::{Mismatch, probe::ANSWER_TIME, short};

/// Time between two tries of a step that waits for something.
const PACE: Duration = Duration::from_millis(100);

/// Runs the scenario from its first step over the gateway at `gateway`.
///
/// # Errors
/// The first step whose answer was not as expected.
pub async fn run(client: &Client, gateway: &str, name: &str, scenario: &Scenario) -> Result<(), Mismatch> {
    let mut variables = Variables::default();
    let provider = if scenario.provider {
        let provider = Provider::serve().await.map_err(|error| Mismatch {
            expected: "a port of 127.0.0.1 for the provider of the scenario".to_owned(),
            actual: error.to_string(),
        })?;
        variables.set("provider", provider.address());
        Some(provider)
    } else {
        None
    };
    register(client, gateway, name, &mut variables).await?;
    for step in &scenario.steps {
        run_step(client, gateway, step, &mut variables).await?;
    }
    drop(provider);
    Ok(())
}

/// Makes the tenant that the scenario runs as.
async fn register(
    client: &Client,
    gateway: &str,
    name: &str,
    variables: &mut Variables,
) -> Result<(), Mismatch> {
    let unique = uuid::Uuid::now_v7().simple().to_string();
    variables.set("unique", unique.clone());
    variables.set("email", format!("smoke-{name}-{unique}@smoke.example"));
    variables.set("password", format!("smoke-{}", uuid::Uuid::now_v7()));
    let step = Step {
        step: "register a tenant for this scenario".to_owned(),
        request: "POST /v1/auth/register".to_owned(),
        anonymous: true,
        headers: [].into(),
        body: Some(json!({
            "email": "${email}", "password": "${password}", "name": "Smoke", "organization": "Smoke ${unique}",
        })),
        upload: None,
        status: 201,
        answer: [("accessToken".to_owned(), json!({"present": true}))].into(),
        answer_headers: [].into(),
        text: None,
        keep: [("token", "accessToken"), ("tenant", "tenant.id"), ("user", "user.id")]
            .map(|(name, path)| (name.to_owned(), path.to_owned()))
            .into(),
        within_seconds: 0,
    };
    run_step(client, gateway, &step, variables).await
}

async fn run_step(
    client: &Client,
    gateway: &str,
    step: &Step,
    variables: &mut Variables,
) -> Result<(), Mismatch> {
    let deadline = Instant::now() + Duration::from_secs(step.within_seconds);
    // The same for every try: a repeated request must not do its work twice.
    let key = uuid::Uuid::now_v7().to_string();
    loop {
        match try_step(client, gateway, step, variables, &key).await {
            Ok(kept) => {
                kept.into_iter().for_each(|(name, value)| variables.set(name, value));
                return Ok(());
            }
            Err(mismatch) if Instant::now() >= deadline => {
                let waited = if step.within_seconds > 0 {
                    format!(" within {} s", step.within_seconds)
                } else {
                    String::new()
                };
                return Err(Mismatch {
                    expected: format!(
                        "step `{}` ({}): {}{waited}",
                        step.step, step.request, mismatch.expected
                    ),
                    actual: mismatch.actual,
                });
            }
            Err(_) => tokio::time::sleep(PACE).await,
        }
    }
}

async fn try_step(
    client: &Client,
    gateway: &str,
    step: &Step,
    variables: &Variables,
    key: &str,
) -> Result<Vec<(String, Value)>, Mismatch> {
    let request = request(client, gateway, step, variables, key)
        .map_err(|reason| Mismatch { expected: "a request that can be sent".to_owned(), actual: reason })?;
    let expected = format!("status {}", step.status);
    let response = match request.send().await {
        Ok(response) => response,
        Err(error) => return Err(Mismatch { expected, actual: super::chain(&error) }),
    };
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().await.unwrap_or_default();
    if status != step.status {
        return Err(Mismatch { expected, actual: format!("status {status}: {}", short(&text)) });
    }
    let unset = |reason: String| Mismatch { expected: "variables that are set".to_owned(), actual: reason };
    for (name, wanted) in &step.answer_headers {
        let wanted = variables.fill_value(wanted).map_err(unset)?;
        let actual = headers.get(name).map(|value| Value::from(String::from_utf8_lossy(value.as_bytes())));
        fits(&wanted, actual.as_ref()).map_err(|words| Mismatch {
            expected: format!("header {name}: {words}"),
            actual: actual.unwrap_or(Value::Null).to_string(),
        })?;
    }
    if let Some(wanted) = &step.text {
        let wanted = variables.fill(wanted).map_err(unset)?;
        if text != wanted {
            return Err(Mismatch { expected: format!("the text `{wanted}`"), actual: short(&text) });
        }
    }
    let answer: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
    for (path, wanted) in &step.answer {
        let (path, wanted) =
            (variables.fill(path).map_err(unset)?, variables.fill_value(wanted).map_err(unset)?);
        fits(&wanted, at(&answer, &path)).map_err(|words| Mismatch {
            expected: format!("`{path}` is {words}"),
            actual: format!("`{path}` of {}", short(&text)),
        })?;
    }
    let keep = step.keep.iter().map(|(name, path)| match at(&answer, path) {
        Some(value) => Ok((name.clone(), value.clone())),
        None => Err(Mismatch { expected: format!("a value at `{path}`"), actual: short(&text) }),
    });
    keep.collect()
}

fn request(
    client: &Client,
    gateway: &str,
    step: &Step,
    variables: &Variables,
    key: &str,
) -> Result<RequestBuilder, String> {
    let (method, path) = step.request.split_once(' ').ok_or("`request` is not METHOD /path")?;
    let method: Method = method.parse().map_err(|_| format!("`{method}` is not an HTTP method"))?;
    let mut request = client
        .request(method, format!("{gateway}{}", variables.fill(path)?))
        .timeout(ANSWER_TIME)
        .header("idempotency-key", key);
    if !step.anonymous {
        request = request.bearer_auth(variables.fill("${token}")?);
    }
    for (name, value) in &step.headers {
        request = request.header(name, variables.fill(value)?);
    }
    if let Some(body) = &step.body {
        request = request.json(&variables.fill_value(body)?);
    } else if let Some(upload) = &step.upload {
        let part = multipart::Part::text(variables.fill(&upload.content)?).file_name(upload.filename.clone());
        let mut form = multipart::Form::new();
        for (name, value) in &upload.fields {
            form = form.text(name.clone(), variables.fill(value)?);
        }
        request = request.multipart(form.part("file", part));
    }
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The provider tells what it was asked, so it can stand for a gateway here.
    async fn one_step(step: &str) -> (Result<(), Mismatch>, Variables) {
        let _already_set = rustls::crypto::ring::default_provider().install_default();
        let gateway = Provider::serve().await.unwrap();
        let step: Step = serde_yaml::from_str(step).unwrap();
        let mut variables = Variables::default();
        variables.set("token", "t0k3n");
        variables.set("name", "Ada");
        let outcome = run_step(&Client::new(), gateway.address(), &step, &mut variables).await;
        (outcome, variables)
    }

    #[tokio::test]
    async fn a_step_sends_what_it_says_and_keeps_what_it_asks_for() {
        let step = "
            step: greet
            request: POST /v1/${name}?x=1
            headers: { x-extra: \"${name}\" }
            body: { hello: \"${name}\" }
            status: 200
            answer:
              path: /v1/Ada
              query: x=1
              body.hello: Ada
              headers.authorization: Bearer t0k3n
              headers.x-extra: Ada
              headers.idempotency-key: { length: 36 }
            answer_headers: { content-type: { contains: json } }
            keep: { seen: body.hello }";
        let (outcome, variables) = one_step(step).await;
        assert_eq!(outcome, Ok(()));
        assert_eq!(variables.fill("${seen}").unwrap(), "Ada");
    }

    #[tokio::test]
    async fn a_mismatch_says_what_was_expected_and_what_came() {
        let (outcome, _) = one_step("{ step: a, request: GET /x, status: 201 }").await;
        let mismatch = outcome.unwrap_err();
        assert_eq!(mismatch.expected, "step `a` (GET /x): status 201");
        assert!(mismatch.actual.starts_with("status 200: {\"method\":\"GET\""), "{}", mismatch.actual);

        let (outcome, _) = one_step("{ step: a, request: GET /x, status: 200, answer: { path: /y } }").await;
        assert_eq!(outcome.unwrap_err().expected, "step `a` (GET /x): `path` is \"/y\"");

        let (outcome, _) = one_step("{ step: a, request: 'GET /${gone}', status: 200 }").await;
        assert_eq!(outcome.unwrap_err().actual, "no step has set `${gone}`");
    }

    #[tokio::test]
    async fn an_anonymous_step_has_no_token() {
        let step = "{ step: a, request: GET /x, anonymous: true, status: 200,
                      answer: { headers.authorization: { present: false } } }";
        assert_eq!(one_step(step).await.0, Ok(()));
    }

    #[tokio::test]
    async fn nobody_listening_is_told_as_such() {
        let _already_set = rustls::crypto::ring::default_provider().install_default();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let gone = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let scenario = Scenario { about: String::new(), provider: false, steps: Vec::new() };
        let mismatch = run(&Client::new(), &gone, "x", &scenario).await.unwrap_err();
        assert!(mismatch.expected.contains("register a tenant"), "{}", mismatch.expected);
        assert!(mismatch.actual.contains("refused"), "{}", mismatch.actual);
    }
}
